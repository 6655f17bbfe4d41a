"""The model test's own prediction of what the breaker rules do.

It is written from the documented table of states and events, not from the code under test. It
stores calls with their times and permits with their deadlines and computes the rest, where the code
under test keeps counters. Times are milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.config import CircuitBreakerConfig

BUCKETS = 10
"""A window moves on in steps of a tenth of its length."""

A_SECOND = 1_000

Outcome = Literal["success", "failure", "released"]
Override = Literal["", "open", "closed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply of a breaker: its code and the values that follow it."""

    code: str
    reason: str = ""
    retry_at: int = 0
    deadline: int = 0


class Report(NamedTuple):
    """How a call ended.

    ``batch``: unreported successes before it, the age of the newest, and their generation.
    """

    outcome: Outcome
    permit: str = ""
    generation: int | None = None
    batch: tuple[int, int, int | None] = (0, 0, None)


def holder_of(permit: str) -> str:
    return permit.rpartition("|")[0]


@dataclass(slots=True)
class Prediction:
    """A breaker shared by a fleet. ``events`` are those of the last operation.

    ``calling`` and ``failing`` are the processes whose calls and failures counted, with the times,
    until the window is cleared. Entries older than ``kept_from`` must not be stored.
    """

    config: CircuitBreakerConfig
    state: Literal["closed", "open", "half_open"] = "closed"
    generation: int = 0
    streak: list[int] = field(default_factory=list[int])
    probe_successes: int = 0
    consecutive_openings: int = 0
    opened_at: int = 0
    retry_at: int = 0
    changed_at: int = 0
    last_failure_at: int = 0
    warned_at: int = 0
    cooldown_until: int = 0
    override: Override = ""
    override_until: int = 0
    override_reason: str = ""
    override_actor: str = ""
    successes: int = 0
    failures: int = 0
    born: int = 0
    calls: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    permits: dict[str, int] = field(default_factory=dict[str, int])
    leases: dict[str, int] = field(default_factory=dict[str, int])
    calling: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    failing: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    kept_from: int = 0
    events: list[str] = field(default_factory=list[str])

    def shown(self) -> dict[str, str]:
        """The state as scripts reply with it and as Redis stores it."""
        return {
            "state": self.state,
            "override": self.override,
            "override_reason": self.override_reason,
            "override_actor": self.override_actor,
            "generation": str(self.generation),
            "consecutive_failures": str(len(self.streak)),
            "streak_started_at": str(self.streak[0] if self.streak else 0),
            "warned_at": str(self.warned_at),
            "probe_successes": str(self.probe_successes),
            "consecutive_openings": str(self.consecutive_openings),
            "opened_at": str(self.opened_at),
            "retry_at": str(self.retry_at),
            "changed_at": str(self.changed_at),
            "last_failure_at": str(self.last_failure_at),
            "cooldown_until": str(self.cooldown_until),
            "override_until": str(self.override_until),
            "total_successes": str(self.successes),
            "total_failures": str(self.failures),
            "born": str(self.born),
        }

    def override_now(self, now: int) -> Override:
        """The override, unless it has expired."""
        return "" if self.override_until and self.override_until <= now else self.override

    def out(self, now: int) -> dict[str, int]:
        """The permits that are out, with the time when each ends.

        A permit ends at its deadline or with the lease of its process, whichever comes first.
        """
        ends = {
            permit: min(deadline, self.leases.get(holder_of(permit), 0))
            for permit, deadline in self.permits.items()
        }
        return {permit: end for permit, end in ends.items() if end > now}

    def recent(self, now: int) -> list[bool]:
        """For each call in the window, whether it failed."""
        length = round(self.config.window * 1000)
        first = now * BUCKETS // length - BUCKETS + 1
        return [bad for at, bad in self.calls if at * BUCKETS // length >= first]

    def bucket(self, at: int) -> int:
        """The number of a time's bucket."""
        return at * BUCKETS // round(self.config.window * 1000)

    def window_from(self, now: int) -> float:
        """The time when the window begins."""
        length = round(self.config.window * 1000)
        return (now * BUCKETS // length - BUCKETS + 1) * length / BUCKETS

    def callers(self) -> dict[str, int]:
        """The time of each process's latest call and latest failure."""
        called = {f"called|{actor}": at for at, actor in self.calling}
        return called | {f"failed|{actor}": at for at, actor in self.failing}

    def acquire(self, now: int, permit: str, lease: int) -> Answer:  # noqa: PLR0911 # a table
        """Request admission with a permit chosen by a process, whose lease this extends."""
        override, out = self.override_now(now), self.out(now)
        if override == "open":
            return Answer("refused", "forced_open", self.override_until)
        if now < self.cooldown_until:
            return Answer("refused", "cooling_down", self.cooldown_until)
        if override == "closed" or self.state == "closed":
            return Answer("admitted")
        if self.state == "open" and now < self.retry_at:
            return Answer("refused", "open", self.retry_at)
        if permit in out:
            return Answer("permit", deadline=self.permits[permit])
        if len(out) >= self.config.half_open_max_calls:
            return Answer("refused", "half_open", min(out.values()))
        holder = holder_of(permit)
        self.leases[holder] = max(self.leases.get(holder, 0), now + lease)
        deadline = now + round(self.config.timeout_duration * 1000)
        self.permits = {one: self.permits[one] for one in out} | {permit: deadline}
        if self.state == "open":
            self._turn_half_open(now)
        return Answer("permit", deadline=deadline)

    def record_successes(
        self, now: int, actor: str, successes: int, age: int, generation: int | None
    ) -> Answer:
        """Report batched successes; the newest ended ``age`` milliseconds ago."""
        self.successes += successes
        if self._role(now, "", {}, generation) == "stale":
            return Answer("stale")
        return self._succeeded(now, actor, successes, now - age)

    def report(self, now: int, actor: str, report: Report) -> Answer:
        """Report how a call ended, after the batched successes before it."""
        outcome, permit, generation, batch = report
        opened = bool(batch[0]) and self.record_successes(now, actor, *batch).code == "opened"
        answer = self._ended(now, actor, Report(outcome, permit, generation))
        return Answer("opened") if opened else answer

    def _ended(self, now: int, actor: str, report: Report) -> Answer:
        outcome, permit, generation, _ = report
        out = self.out(now)
        if permit not in {"", "untracked"}:
            self.permits.pop(permit, None)
        role = self._role(now, permit, out, generation)
        if outcome == "released":
            return Answer("counted" if role == "probe" else "stale")
        failed = outcome == "failure"
        if failed:
            self.failures += 1
        else:
            self.successes += 1
        if role == "stale":
            return Answer("stale")
        if failed:
            self.last_failure_at = now
            self.streak.append(now)
        if role == "probe":
            return self._probed(now, failed=failed)
        return self._failed(now, actor) if failed else self._succeeded(now, actor, 1, now)

    def set_override(
        self, now: int, override: Override, reason: str, actor: str, duration: int
    ) -> Answer:
        """An operator sets or clears an override."""
        if override == self.override == "":
            return Answer("unchanged")
        kinds = {"open": "forced_open", "closed": "forced_closed", "": "override_cleared"}
        self.events.append(f"breaker_{kinds[override]}")
        self.override = override
        self.override_reason, self.override_actor = (reason, actor) if override else ("", "")
        self.override_until = now + duration if override and duration else 0
        self._transition(now)
        return Answer("changed")

    def reset(self, now: int) -> Answer:
        """Close it, with nothing counted, no cooldown and no override."""
        self._close(now)
        self.cooldown_until = 0
        self.override = self.override_reason = self.override_actor = ""
        self.override_until = 0
        self.events.append("breaker_reset")
        return Answer("changed")

    def cool_down(self, now: int, duration: int) -> Answer:
        """The provider requested a cooldown."""
        later = max(self.cooldown_until, now + duration)
        if later == self.cooldown_until:
            return Answer("unchanged")
        self.cooldown_until = later
        self.events.append("breaker_cooldown_started")
        return Answer("changed")

    def configure(self, config: CircuitBreakerConfig, *, explicit: bool) -> Answer:
        """Apply settings: explicit ones replace the current ones."""
        if not explicit or config == self.config:
            return Answer("unchanged")
        self.config = config
        self.generation += 1
        self.calls, self.permits = [], {}
        first = self.streak[0] if self.streak else math.inf
        self.calling, self.failing = [], [one for one in self.failing if one[0] >= first]
        self.events.append("breaker_settings_changed")
        return Answer("changed")

    def restore(self, now: int, then: Prediction, *, lost: bool, clock_set: bool) -> Answer:
        """Restore the state ``then`` that a process remembers, unless a newer one stands.

        ``lost``: there is none. ``clock_set``: the process had it by another clock.
        """
        another = then.born != self.born and not lost
        newer = lost or self._is_older(now, then, clock_set=clock_set)
        counted = max(self.generation, then.generation) + 1
        renumbered = another and not newer and then.generation >= max(1, self.generation)
        ended = not another and self.state == "closed" and self.generation > then.generation
        later = then.cooldown_until > max(now, self.cooldown_until)
        cools_down = later and not (ended and not self.cooldown_until)
        if not newer and not renumbered and not cools_down:
            return Answer("unchanged")
        if newer:
            self.state = "open" if then.state == "half_open" else then.state
            # Which process's streak is the newest is unknown.
            self.streak = [] if then.state == "closed" else list(then.streak)
            self.warned_at, self.born = then.warned_at, then.born
            self.consecutive_openings, self.opened_at = then.consecutive_openings, then.opened_at
            self.retry_at, self.changed_at = then.retry_at, then.changed_at
            self.last_failure_at = then.last_failure_at
            self.override, self.override_until = then.override, then.override_until
            self.override_reason, self.override_actor = then.override_reason, then.override_actor
            counted_here = (0, 0) if another else (self.successes, self.failures)
            self.successes = max(then.successes, counted_here[0])
            self.failures = max(then.failures, counted_here[1])
            self.permits = {}
        if newer or renumbered:
            self.generation = then.generation if lost else counted
        if cools_down:
            self.cooldown_until = then.cooldown_until
        self.events.append("breaker_restored")
        return Answer("restored")

    def _is_older(self, now: int, then: Prediction, *, clock_set: bool) -> bool:
        """Whether ``then`` is the newer state."""
        if then.born == self.born and (clock_set or then.generation != self.generation):
            return then.generation > self.generation
        mine, theirs = (
            (one.changed_at, bool(one.override_now(now)), one.state != "closed")
            for one in (self, then)
        )
        return theirs > mine

    def _role(
        self, now: int, permit: str, out: dict[str, int], generation: int | None
    ) -> Literal["probe", "call", "stale"]:
        """Whether an outcome is a probe's, one of a call of a closed breaker, or stale."""
        if self.override_now(now) or generation not in {None, self.generation}:
            return "stale"
        if permit not in {"", "untracked"}:
            return "probe" if self.state == "half_open" and permit in out else "stale"
        if self.state == "closed":
            return "call"
        due = self.state == "half_open" or now >= self.retry_at
        room = len(out) < self.config.half_open_max_calls
        allowed = due and room and now >= self.cooldown_until
        return "probe" if permit == "untracked" and allowed else "stale"

    def _succeeded(self, now: int, actor: str, successes: int, newest: int) -> Answer:
        """End the streak at the newest success; only the latest failure is known to be later."""
        if self.streak and newest > self.streak[0]:
            self.streak = [at for at in self.streak[-1:] if at > newest]
        elif self.streak and newest == self.streak[-1]:
            self.streak = []
        return self._called(now, actor, successes, failed=False)

    def _failed(self, now: int, actor: str) -> Answer:
        answer = self._called(now, actor, 1, failed=True)
        half_way = 2 * len(self.streak) >= self.config.failure_threshold
        if self.state == "closed" and half_way and not 0 <= now - self.warned_at < A_SECOND:
            self.warned_at = now
            self.events.append("breaker_streak_warning")
        return answer

    def _called(self, now: int, actor: str, calls: int, *, failed: bool) -> Answer:
        self.calls += [(now, failed)] * calls
        if (self.bucket(now), actor) not in {(self.bucket(at), one) for at, one in self.calling}:
            # A process removes what is old once in a bucket.
            self.kept_from = min(now - round(self.config.window * 1000), *self.streak[:1], now)
        self.calling.append((now, actor))
        if failed:
            self.failing.append((now, actor))
        recent = self.recent(now)
        rate = self.config.failure_rate_threshold
        exceeded = (
            rate is not None
            and len(recent) >= self.config.minimum_calls
            and any(recent)
            and sum(recent) >= rate * len(recent)
        )
        streak_reached = failed and len(self.streak) >= self.config.failure_threshold
        least = self.config.min_failing_processes
        opens = streak_reached and len(_since(self.failing, self.streak[0])) >= least
        if exceeded:
            first = self.window_from(now)
            several = len(_since(self.calling, first)) > 1
            opens = opens or len(_since(self.failing, first)) >= max(least, 2 if several else 1)
        if opens:
            self._open(now)
            return Answer("opened")
        return Answer("counted")

    def _probed(self, now: int, *, failed: bool) -> Answer:
        if self.state == "open":
            self._turn_half_open(now)
        if failed:
            self._open(now)
            return Answer("opened")
        self.probe_successes += 1
        if self.probe_successes < self.config.success_threshold:
            return Answer("counted")
        self.events.append("breaker_closed")
        self._close(now)
        return Answer("closed")

    def _open(self, now: int) -> None:
        wait = first = max(1.0, round(self.config.recovery_timeout * 1000))
        for _ in range(self.consecutive_openings):
            wait *= self.config.backoff_multiplier
        wait = max(first, min(wait, self.config.max_recovery_timeout * 1000))
        self.state = "open"
        self.probe_successes = 0
        self.consecutive_openings += 1
        self.opened_at = now
        self.retry_at = now + int(wait)
        self._transition(now)
        self.events.append("breaker_opened")

    def _turn_half_open(self, now: int) -> None:
        self.state = "half_open"
        self.probe_successes = 0
        self.generation += 1
        self.changed_at = now
        self.events.append("breaker_half_opened")

    def _close(self, now: int) -> None:
        self.state = "closed"
        self.probe_successes = self.consecutive_openings = self.retry_at = 0
        self.calls, self.streak = [], []
        self.calling, self.failing = [], []
        self._transition(now)

    def _transition(self, now: int) -> None:
        """Begin a new generation, which invalidates all permits."""
        self.generation += 1
        self.changed_at = now
        self.permits = {}


def _since(times: list[tuple[int, str]], first: float) -> set[str]:
    """The processes with an entry at ``first`` or later."""
    return {process for at, process in times if at >= first}
