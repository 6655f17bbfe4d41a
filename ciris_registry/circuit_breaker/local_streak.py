"""One process's own streak: how many of its calls failed in a row, whatever those of others did.

A process that alone keeps failing has a problem of its own: at ``failure_threshold`` the breaker is
open in it only, for ``recovery_timeout``, then for one trial at a time. A value: what happens makes
a new one. It refuses to decide for anybody else, and sleeps while the shared breaker is not closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig, milliseconds
from ciris_registry.circuit_breaker.states import UNTRACKED, CircuitState

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.state_machine import BreakerState
    from ciris_registry.circuit_breaker.states import Outcome


@dataclass(frozen=True, slots=True)
class LocalStreak:
    """Failures in a row, and since there were too many, until when the breaker is open here.

    ``changed_at`` is that of the shared breaker when the streak began: another one ends it.
    ``until`` is 0 as long as it is not open here; ``trial`` is the permit of the trial that is out,
    until ``trial_until``.
    """

    changed_at: int = 0
    failures: int = 0
    until: int = 0
    trial: str = ""
    trial_until: int = 0

    def refused_until(self, now: int) -> int:
        """When somebody here may be admitted again; 0 if somebody may be now."""
        if now < self.until:
            return self.until
        return self.trial_until if now < self.trial_until else 0

    def trying(self, permit: str, deadline: int) -> LocalStreak:
        """A trial is out."""
        return replace(self, trial=permit, trial_until=deadline)

    def beside(self, breaker: BreakerState, now: int, *, told_before: bool) -> LocalStreak | None:
        """The same beside what all share now; None if that has ended it.

        What is decided for all does, be it an opening, a reset or an operator's word; unless the
        breaker was never ``told_before``, so that it may have been decided before the streak began.
        """
        decided = told_before and breaker.changed_at != self.changed_at
        if decided or breaker.state is not CircuitState.CLOSED:
            return None
        return replace(self, changed_at=breaker.changed_at).bounded(now, breaker.config)

    def bounded(self, now: int, config: CircuitBreakerConfig) -> LocalStreak:
        """No longer than if it opened now: a server that took over may have an earlier clock."""
        until = min(self.until, now + milliseconds(config.recovery_timeout))
        trial_until = min(self.trial_until, now + milliseconds(config.timeout_duration))
        if (until, trial_until) == (self.until, self.trial_until):
            return self
        return replace(self, until=until, trial_until=trial_until)


def counted(
    breaker: BreakerState, now: int, outcome: Outcome, permit: str, generation: int | None
) -> LocalStreak | None:
    """The own streak of the process that reports this outcome, after it; None: there is none."""
    own = breaker.own
    if breaker.state is not CircuitState.CLOSED or breaker.override_in_force(now):
        return own
    if own is not None and own.until:
        return _tried(own, breaker.config, now, outcome, permit)
    if permit not in {"", UNTRACKED} or generation not in {None, breaker.generation}:
        return own
    if outcome == "success":
        return None
    return _failed(own or LocalStreak(breaker.changed_at), breaker.config, now)


def _failed(own: LocalStreak, config: CircuitBreakerConfig, now: int) -> LocalStreak:
    failures = own.failures + 1
    opens = failures >= config.failure_threshold
    until = now + milliseconds(config.recovery_timeout) if opens else 0
    return LocalStreak(own.changed_at, failures, until)


def _tried(
    own: LocalStreak, config: CircuitBreakerConfig, now: int, outcome: Outcome, permit: str
) -> LocalStreak | None:
    """Only a trial's outcome counts; any other may be of a call that began before."""
    if permit == UNTRACKED:
        tried = not own.refused_until(now)
    else:
        tried = bool(permit) and permit == own.trial and now < own.trial_until
    if not tried:
        return own
    if outcome == "released":
        return own.trying("", 0)
    return None if outcome == "success" else _failed(own, config, now)
