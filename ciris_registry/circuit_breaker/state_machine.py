"""The transitions of one breaker: when it admits, opens, probes and closes.

The rules and the fields are those of ``lua/lib/state_machine.lua`` and the scripts that use it. A
process uses them alone while Redis is away, and to predict what Redis will report. There is no
clock here: each method takes the time, in milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker.callers import Callers
from ciris_registry.circuit_breaker.config import CircuitBreakerConfig, milliseconds
from ciris_registry.circuit_breaker.states import (
    UNTRACKED,
    Admission,
    CircuitState,
    Refusal,
    ReplyCode,
)
from ciris_registry.circuit_breaker.trip_conditions import rate_trips, streak_trips
from ciris_registry.circuit_breaker.window import Bucket, count, empty

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.local_streak import LocalStreak
    from ciris_registry.circuit_breaker.states import Outcome, Override

_BETWEEN_WARNINGS: Final = 1000
"""Milliseconds, at least, between two warnings of a running streak."""


@dataclass(slots=True)
class BreakerState:
    """A breaker's settings, state and counters; times are milliseconds of one clock.

    ``born``: when Redis first had it. ``local``: the local streak, which only this process knows.
    """

    config: CircuitBreakerConfig
    state: CircuitState = CircuitState.CLOSED
    generation: int = 0
    consecutive_failures: int = 0
    probe_successes: int = 0
    consecutive_openings: int = 0
    opened_at: int = 0
    retry_at: int = 0
    changed_at: int = 0
    last_failure_at: int = 0
    streak_started_at: int = 0
    warned_at: int = 0
    cooldown_until: int = 0
    override: Override = ""
    override_until: int = 0
    override_reason: str = ""
    override_actor: str = ""
    total_successes: int = 0
    total_failures: int = 0
    born: int = 0
    buckets: list[Bucket] = field(default_factory=empty)
    permits: dict[str, int] = field(default_factory=dict[str, int])
    callers: Callers = field(default_factory=Callers)
    local: LocalStreak | None = None

    def copy(self) -> BreakerState:
        """An independent copy."""
        return replace(
            self, buckets=[*self.buckets], permits={**self.permits}, callers=self.callers.copy()
        )

    def override_in_force(self, now: int) -> Override:
        """The operator's override; empty if there is none or it has ended."""
        ended = self.override_until and now >= self.override_until
        return "" if ended else self.override

    def shown_state(self, now: int) -> CircuitState:
        """The state that programs are shown: an override in force counts.

        An OPEN breaker whose next admission would be a probe reads HALF_OPEN, as in the in-process
        CIRIS registry; the stored state stays OPEN.
        """
        override = self.override_in_force(now)
        if override:
            return CircuitState(override)
        if self.state is CircuitState.OPEN and self.refusal(now) is None:
            return CircuitState.HALF_OPEN
        return self.state

    def is_open_locally(self, now: int) -> bool:
        """Whether it is open in this process only: the shared state is closed."""
        if self.state is not CircuitState.CLOSED or self.local is None or not self.local.until:
            return False
        return not self.override_in_force(now)

    def refusal(self, now: int) -> Refusal | None:
        """Why a call would be refused now; None if it would be admitted. Changes nothing."""
        override = self.override_in_force(now)
        if override == "open":
            return Refusal("forced_open", self.override_until)
        if self.cooldown_until > now:
            return Refusal("cooling_down", self.cooldown_until)
        if override == "closed" or self.state is CircuitState.CLOSED:
            local = self.local if not override else None
            until = local.refused_until(now) if local is not None else 0
            return Refusal(local.reason, until) if local is not None and until else None
        if self.state is CircuitState.OPEN and now < self.retry_at:
            return Refusal("open", self.retry_at)
        out = [deadline for deadline in self.permits.values() if deadline > now]
        if len(out) >= self.config.half_open_max_calls:
            return Refusal("half_open", min(out))
        return None

    def changes_at(self, now: int) -> int:
        """The next time at which admission changes by itself; 0 if there is none."""
        times = [self.override_until, self.cooldown_until, self.retry_at, *self.permits.values()]
        if self.local is not None:
            times += (self.local.until, self.local.trial_until)
        return min((time for time in times if time > now), default=0)

    def needs_permit(self, now: int) -> bool:
        """Whether an admitted call would be a probe."""
        probing = self.state is not CircuitState.CLOSED or self.is_open_locally(now)
        return probing and not self.override_in_force(now)

    def acquire(self, now: int, permit: str) -> Admission:
        """Ask for admission; a probe takes ``permit``, for ``timeout_duration`` at the most."""
        refusal = self.refusal(now)
        if refusal is None or refusal.reason == "half_open":
            out = self.permits.get(permit, 0)
            if out > now:
                return Admission(ReplyCode.PERMIT, None, permit, out)
        if refusal is not None:
            return Admission(ReplyCode.REFUSED, refusal)
        if not self.needs_permit(now):
            return Admission(ReplyCode.ADMITTED)
        deadline = now + milliseconds(self.config.timeout_duration)
        if self.local is not None and self.state is CircuitState.CLOSED:
            self.local = self.local.trying(permit, deadline)
            return Admission(ReplyCode.PERMIT, None, permit, deadline)
        self.permits = {held: end for held, end in self.permits.items() if end > now}
        self.permits[permit] = deadline
        if self.state is CircuitState.OPEN:
            self._decide(CircuitState.HALF_OPEN, now)
        return Admission(ReplyCode.PERMIT, None, permit, deadline)

    def record(
        self,
        now: int,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
        *,
        successes: int = 0,
        age: int = 0,
        batch_generation: int | None = None,
        actor: str = "",
    ) -> ReplyCode:
        """Count one outcome that process ``actor`` reports; the code names the transition it made.

        ``successes`` of the same process, which ``batch_generation`` admitted, are counted before
        it, as in ``record_successes``.
        """
        opened = successes > 0 and (
            self.record_successes(now, successes, age, batch_generation, actor) is ReplyCode.OPENED
        )
        holds = permit not in {"", UNTRACKED}
        current = self._is_current(now, generation)
        probe = False
        if holds:
            valid = self.permits.pop(permit, 0) > now
            probe = current and valid and self.state is CircuitState.HALF_OPEN
        elif permit == UNTRACKED and current and self.state is not CircuitState.CLOSED:
            probe = self.refusal(now) is None
        counted = not holds and current and self.state is CircuitState.CLOSED
        if outcome == "released" and not opened:
            return ReplyCode.COUNTED if probe else ReplyCode.STALE
        failed = outcome == "failure"
        self.total_failures += failed
        self.total_successes += outcome == "success"
        if not probe and not counted:
            return ReplyCode.OPENED if opened else ReplyCode.STALE
        if failed:
            self.streak_started_at = self.streak_started_at if self.consecutive_failures else now
            self.consecutive_failures += 1
            self.last_failure_at = now
        if probe:
            return self._probed(now, failed=failed)
        return self._failed(now, actor) if failed else self._succeeded(now, 1, now, actor)

    def record_successes(
        self, now: int, successes: int, age: int = 0, generation: int | None = None, actor: str = ""
    ) -> ReplyCode:
        """Count successes of calls without a permit, the newest ``age`` milliseconds ago."""
        self.total_successes += successes
        if not self._is_current(now, generation) or self.state is not CircuitState.CLOSED:
            return ReplyCode.STALE
        return self._succeeded(now, successes, now - age, actor)

    def set_override(
        self, now: int, override: Override, reason: str = "", actor: str = "", duration: int = 0
    ) -> ReplyCode:
        """Set an override for ``duration`` milliseconds, 0: without end; ``""`` clears it."""
        if not override and not self.override:
            return ReplyCode.UNCHANGED
        self.override = override
        self.override_reason = reason if override else ""
        self.override_actor = actor if override else ""
        self.override_until = now + duration if override and duration else 0
        self.generation += 1
        self.changed_at = now
        self.permits.clear()
        return ReplyCode.CHANGED

    def reset(self, now: int) -> ReplyCode:
        """Close it and forget its counters, its cooldown and its override."""
        self._close(now)
        self.cooldown_until = self.override_until = 0
        self.override = self.override_reason = self.override_actor = ""
        return ReplyCode.CHANGED

    def cool_down(self, now: int, duration: int) -> ReplyCode:
        """Begin a cooldown of ``duration`` milliseconds, unless a longer one is in force."""
        deadline = now + duration
        if deadline <= self.cooldown_until or deadline <= now:
            return ReplyCode.UNCHANGED
        self.cooldown_until = deadline
        return ReplyCode.CHANGED

    def forget_window(self) -> None:
        """Empty the window; of the callers, keep those that failed in the running streak."""
        self.buckets = empty()
        self.callers.forget(self.streak_started_at if self.consecutive_failures else math.inf)

    def _is_current(self, now: int, generation: int | None) -> bool:
        """Whether an outcome of this generation counts, None being the current one."""
        return not self.override_in_force(now) and generation in {None, self.generation}

    def _decide(self, state: CircuitState, now: int) -> None:
        self.state = state
        self.generation += 1
        self.probe_successes = 0
        self.changed_at = now

    def _open(self, now: int) -> None:
        wait = self.config.open_for(self.consecutive_openings)
        self._decide(CircuitState.OPEN, now)
        self.consecutive_openings += 1
        self.opened_at = now
        self.retry_at = now + wait
        self.permits.clear()

    def _close(self, now: int) -> None:
        self._decide(CircuitState.CLOSED, now)
        self.consecutive_failures = self.consecutive_openings = 0
        self.streak_started_at = self.retry_at = 0
        self.permits.clear()
        self.forget_window()

    def _probed(self, now: int, *, failed: bool) -> ReplyCode:
        if self.state is CircuitState.OPEN:
            self._decide(CircuitState.HALF_OPEN, now)
        if failed:
            self._open(now)
            return ReplyCode.OPENED
        self.probe_successes += 1
        if self.probe_successes >= self.config.success_threshold:
            self._close(now)
            return ReplyCode.CLOSED
        return ReplyCode.COUNTED

    def _succeeded(self, now: int, successes: int, newest: int, actor: str) -> ReplyCode:
        """End the streak, or, if its last failure is newer than the success, leave that failure."""
        if self.consecutive_failures and newest >= self.last_failure_at:
            self.consecutive_failures = self.streak_started_at = 0
        elif self.consecutive_failures and newest > self.streak_started_at:
            self.consecutive_failures, self.streak_started_at = 1, self.last_failure_at
        return self._called(now, successes, 0, actor)

    def _failed(self, now: int, actor: str) -> ReplyCode:
        """Count the failure; note when the shared breaker would warn of a running streak."""
        code = self._called(now, 1, 1, actor)
        long = self.consecutive_failures >= math.ceil(self.config.failure_threshold / 2)
        if code is ReplyCode.COUNTED and long and abs(now - self.warned_at) >= _BETWEEN_WARNINGS:
            self.warned_at = now
        return code

    def _called(self, now: int, calls: int, failures: int, actor: str) -> ReplyCode:
        config = self.config
        needed = now - milliseconds(config.window)
        if self.consecutive_failures:
            needed = min(needed, self.streak_started_at)
        self.callers.note(now, actor, failed=failures > 0, needed=needed)
        counted = count(self.buckets, now, milliseconds(config.window), calls, failures)
        streak = self.consecutive_failures, self.streak_started_at
        trips = failures > 0 and streak_trips(config, self.callers, *streak)
        if trips or rate_trips(config, self.callers, now, *counted):
            self._open(now)
            return ReplyCode.OPENED
        return ReplyCode.COUNTED
