"""What the rules of the breaker say will happen: the model test's own prediction.

Written from the table of states and events that users are promised, not from the code under test.
It keeps what happened (calls with their times, trials with their ends) and works out the rest,
where the code keeps counters. Times are milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.config import CircuitBreakerConfig

PARTS = 10
"""A window moves on in steps of a tenth of its length."""

A_SECOND = 1_000

Outcome = Literal["success", "failure", "released"]
Word = Literal["", "open", "closed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a breaker answers: a word, and what goes with it."""

    word: str
    reason: str = ""
    retry_at: int = 0
    deadline: int = 0


class Report(NamedTuple):
    """How a call ended; so many succeeded ``before`` it, the newest of them so long ago."""

    outcome: Outcome
    permit: str = ""
    generation: int | None = None
    before: tuple[int, int] = (0, 0)


def holder_of(permit: str) -> str:
    return permit.rpartition("|")[0]


@dataclass(slots=True)
class Prediction:
    """A breaker shared by a fleet. ``events`` are those of the last thing that was asked of it.

    ``callers`` and ``failers`` are who made the reports that counted, and those of failures, with
    their times, until the window is forgotten. Nothing from before ``kept_from`` is stored of them.
    """

    config: CircuitBreakerConfig
    state: Literal["closed", "open", "half_open"] = "closed"
    generation: int = 0
    streak: list[int] = field(default_factory=list[int])
    good_trials: int = 0
    consecutive_openings: int = 0
    opened_at: int = 0
    retry_at: int = 0
    changed_at: int = 0
    last_failure_at: int = 0
    warned_at: int = 0
    cools_until: int = 0
    word: Word = ""
    word_until: int = 0
    word_reason: str = ""
    word_by: str = ""
    successes: int = 0
    failures: int = 0
    calls: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    trials: dict[str, int] = field(default_factory=dict[str, int])
    leases: dict[str, int] = field(default_factory=dict[str, int])
    calling: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    failers: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    kept_from: int = 0
    events: list[str] = field(default_factory=list[str])

    def shown(self) -> dict[str, str]:
        """The state as every script shows it, and as Redis has it."""
        return {
            "state": self.state,
            "override": self.word,
            "override_reason": self.word_reason,
            "override_actor": self.word_by,
            "generation": str(self.generation),
            "consecutive_failures": str(len(self.streak)),
            "streak_started_at": str(self.streak[0] if self.streak else 0),
            "warned_at": str(self.warned_at),
            "probe_successes": str(self.good_trials),
            "consecutive_openings": str(self.consecutive_openings),
            "opened_at": str(self.opened_at),
            "retry_at": str(self.retry_at),
            "changed_at": str(self.changed_at),
            "last_failure_at": str(self.last_failure_at),
            "cooldown_until": str(self.cools_until),
            "override_until": str(self.word_until),
            "total_successes": str(self.successes),
            "total_failures": str(self.failures),
        }

    def word_now(self, now: int) -> Word:
        """The operator's word, unless it has run out."""
        return "" if self.word_until and self.word_until <= now else self.word

    def out(self, now: int) -> dict[str, int]:
        """The permits that are out, with the time when each is free again at the latest.

        A permit ends by its own deadline or with its holder's lease, whichever is first.
        """
        ends = {
            permit: min(deadline, self.leases.get(holder_of(permit), 0))
            for permit, deadline in self.trials.items()
        }
        return {permit: end for permit, end in ends.items() if end > now}

    def recent(self, now: int) -> list[bool]:
        """Of each call within the window, whether it failed."""
        length = round(self.config.window * 1000)
        first = now * PARTS // length - PARTS + 1
        return [bad for at, bad in self.calls if at * PARTS // length >= first]

    def window_from(self, now: int) -> float:
        """The time at which the window begins."""
        length = round(self.config.window * 1000)
        return (now * PARTS // length - PARTS + 1) * length / PARTS

    def callers(self) -> dict[str, int]:
        """When each process has called last, and when it has failed last."""
        called = {f"called|{by}": at for at, by in self.calling}
        return called | {f"failed|{by}": at for at, by in self.failers}

    def ask(self, now: int, permit: str, lease: int) -> Answer:  # noqa: PLR0911 # a table
        """Ask for admission, with a permit made up by a process that lives for its lease."""
        word, out = self.word_now(now), self.out(now)
        if word == "open":
            return Answer("refused", "forced_open", self.word_until)
        if now < self.cools_until:
            return Answer("refused", "cooling_down", self.cools_until)
        if word == "closed" or self.state == "closed":
            return Answer("admitted")
        if self.state == "open" and now < self.retry_at:
            return Answer("refused", "open", self.retry_at)
        if permit in out:
            return Answer("permit", deadline=self.trials[permit])
        if len(out) >= self.config.half_open_max_calls:
            return Answer("refused", "half_open", min(out.values()))
        holder = holder_of(permit)
        self.leases[holder] = max(self.leases.get(holder, 0), now + lease)
        deadline = now + round(self.config.timeout_duration * 1000)
        self.trials = {one: self.trials[one] for one in out} | {permit: deadline}
        if self.state == "open":
            self._turn_half_open(now)
        return Answer("permit", deadline=deadline)

    def tally(self, now: int, by: str, successes: int, age: int, known: int | None) -> Answer:
        """Report successes that were gathered, the newest of them so long ago."""
        self.successes += successes
        if self._role(now, "", {}, known) == "stale":
            return Answer("stale")
        return self._succeeded(now, by, successes, now - age)

    def report(self, now: int, by: str, report: Report) -> Answer:
        """Report how a call ended, after those that were gathered before it."""
        outcome, permit, generation, before = report
        opened = bool(before[0]) and self.tally(now, by, *before, generation).word == "opened"
        answer = self._ended(now, by, Report(outcome, permit, generation))
        return Answer("opened") if opened else answer

    def _ended(self, now: int, by: str, report: Report) -> Answer:
        outcome, permit, generation, _ = report
        out = self.out(now)
        if permit not in {"", "untracked"}:
            self.trials.pop(permit, None)
        role = self._role(now, permit, out, generation)
        if outcome == "released":
            return Answer("counted" if role == "trial" else "stale")
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
        if role == "trial":
            return self._tried(now, failed=failed)
        return self._failed(now, by) if failed else self._succeeded(now, by, 1, now)

    def say(self, now: int, word: Word, reason: str, by: str, duration: int) -> Answer:
        """An operator puts a word over the breaker, or takes it away."""
        if word == self.word == "":
            return Answer("unchanged")
        kind = {"open": "forced_open", "closed": "forced_closed", "": "override_cleared"}[word]
        self.events.append(f"breaker_{kind}")
        self.word = word
        self.word_reason, self.word_by = (reason, by) if word else ("", "")
        self.word_until = now + duration if word and duration else 0
        self._decided(now)
        return Answer("changed")

    def reset(self, now: int) -> Answer:
        """Closed, with nothing counted, no cooldown and no operator's word."""
        self._close(now)
        self.cools_until = 0
        self.word = self.word_reason = self.word_by = ""
        self.word_until = 0
        self.events.append("breaker_reset")
        return Answer("changed")

    def cool_down(self, now: int, duration: int) -> Answer:
        """The provider asked to be left alone."""
        later = max(self.cools_until, now + duration)
        if later == self.cools_until:
            return Answer("unchanged")
        self.cools_until = later
        self.events.append("breaker_cooldown_started")
        return Answer("changed")

    def configure(self, config: CircuitBreakerConfig, *, explicit: bool) -> Answer:
        """Registered with settings of its own, or with whatever stands there."""
        if not explicit or config == self.config:
            return Answer("unchanged")
        self.config = config
        self.generation += 1
        self.calls, self.trials = [], {}
        first = self.streak[0] if self.streak else math.inf
        self.calling, self.failers = [], [one for one in self.failers if one[0] >= first]
        self.events.append("breaker_settings_changed")
        return Answer("changed")

    def restore(self, now: int, then: Prediction) -> Answer:
        """Somebody still knows what it was ``then``: whatever was decided later counts."""
        decided = then.changed_at > self.changed_at
        cools = then.cools_until > max(now, self.cools_until)
        if not decided and not cools:
            return Answer("unchanged")
        if decided:
            self.state = "open" if then.state == "half_open" else then.state
            # Whose streak is the newest, nobody can tell.
            self.streak = [] if then.state == "closed" else list(then.streak)
            self.generation, self.warned_at = then.generation, then.warned_at
            self.consecutive_openings, self.opened_at = then.consecutive_openings, then.opened_at
            self.retry_at, self.changed_at = then.retry_at, then.changed_at
            self.last_failure_at = then.last_failure_at
            self.word, self.word_until = then.word, then.word_until
            self.word_reason, self.word_by = then.word_reason, then.word_by
            self.successes, self.failures = then.successes, then.failures
            self.trials = {}
        if cools:
            self.cools_until = then.cools_until
        self.events.append("breaker_restored")
        return Answer("restored")

    def _role(
        self, now: int, permit: str, out: dict[str, int], generation: int | None
    ) -> Literal["trial", "call", "stale"]:
        """What an outcome is: that of a trial, of a call through a closed breaker, or too late."""
        if self.word_now(now) or generation not in {None, self.generation}:
            return "stale"
        if permit not in {"", "untracked"}:
            return "trial" if self.state == "half_open" and permit in out else "stale"
        if self.state == "closed":
            return "call"
        due = self.state == "half_open" or now >= self.retry_at
        room = len(out) < self.config.half_open_max_calls
        allowed = due and room and now >= self.cools_until
        return "trial" if permit == "untracked" and allowed else "stale"

    def _succeeded(self, now: int, by: str, successes: int, newest: int) -> Answer:
        """The streak ends where the newest of them is; of what came later only one is sure."""
        if self.streak and newest > self.streak[0]:
            self.streak = [at for at in self.streak[-1:] if at > newest]
        elif self.streak and newest == self.streak[-1]:
            self.streak = []
        return self._called(now, by, successes, failed=False)

    def _failed(self, now: int, by: str) -> Answer:
        answer = self._called(now, by, 1, failed=True)
        half_way = 2 * len(self.streak) >= self.config.failure_threshold
        if self.state == "closed" and half_way and not 0 <= now - self.warned_at < A_SECOND:
            self.warned_at = now
            self.events.append("breaker_streak_warning")
        return answer

    def _called(self, now: int, by: str, calls: int, *, failed: bool) -> Answer:
        self.calls += [(now, failed)] * calls
        self.calling.append((now, by))
        if failed:
            self.failers.append((now, by))
        self.kept_from = min(now - round(self.config.window * 1000), *self.streak[:1], now)
        recent = self.recent(now)
        rate = self.config.failure_rate_threshold
        sick = (
            rate is not None
            and len(recent) >= self.config.minimum_calls
            and any(recent)
            and sum(recent) >= rate * len(recent)
        )
        long = len(self.streak) >= self.config.failure_threshold
        least = self.config.min_failing_processes
        opens = long and len(_since(self.failers, self.streak[0])) >= least
        if sick:
            first = self.window_from(now)
            several = len(_since(self.calling, first)) > 1
            opens = opens or len(_since(self.failers, first)) >= max(least, 2 if several else 1)
        if opens:
            self._open(now)
            return Answer("opened")
        return Answer("counted")

    def _tried(self, now: int, *, failed: bool) -> Answer:
        if self.state == "open":
            self._turn_half_open(now)
        if failed:
            self._open(now)
            return Answer("opened")
        self.good_trials += 1
        if self.good_trials < self.config.success_threshold:
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
        self.good_trials = 0
        self.consecutive_openings += 1
        self.opened_at = now
        self.retry_at = now + int(wait)
        self._decided(now)
        self.events.append("breaker_opened")

    def _turn_half_open(self, now: int) -> None:
        self.state = "half_open"
        self.good_trials = 0
        self.generation += 1
        self.changed_at = now
        self.events.append("breaker_half_opened")

    def _close(self, now: int) -> None:
        self.state = "closed"
        self.good_trials = self.consecutive_openings = self.retry_at = 0
        self.calls, self.streak = [], []
        self.calling, self.failers = [], []
        self._decided(now)

    def _decided(self, now: int) -> None:
        """A new generation, in which no permit of an older one is worth anything."""
        self.generation += 1
        self.changed_at = now
        self.trials = {}


def _since(times: list[tuple[int, str]], first: float) -> set[str]:
    """Who is among those of that time or later."""
    return {who for at, who in times if at >= first}
