"""The local streak of one process: how many of its own calls failed in a row.

A process whose calls alone keep failing has a problem of its own. At ``failure_threshold`` the
breaker opens in that process only: it refuses all calls for ``recovery_timeout``, then admits one
trial at a time. A streak is an immutable value: each outcome makes a new one. It has no effect on
other processes, and does not change while the shared breaker is not closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig, milliseconds
from ciris_registry.circuit_breaker.states import UNTRACKED

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.states import Outcome

_MOST_DOUBLED: Final = 30


@dataclass(frozen=True, slots=True)
class LocalStreak:
    """Failures in a row, and until when the breaker is open locally.

    ``changed_at`` is that of the shared breaker when the streak began; any other value ends the
    streak. ``until`` is 0 while the breaker is not open locally. ``trial`` is the permit of the
    running trial, valid until ``trial_until``. Times are milliseconds of the server's clock.

    ``code`` is the fault code of a provider that refuses this program, which opens it at once;
    ``refusals`` counts those in a row.
    """

    changed_at: int = 0
    failures: int = 0
    until: int = 0
    trial: str = ""
    trial_until: int = 0
    code: str = ""
    refusals: int = 0

    @property
    def reason(self) -> str:
        """Why this process refuses the provider."""
        return f"held: {self.code}" if self.code else "open_locally"

    def refused_until(self, now: int) -> int:
        """When this process admits the next call; 0 if it admits one now."""
        if now < self.until:
            return self.until
        return self.trial_until if now < self.trial_until else 0

    def trying(self, permit: str, deadline: int) -> LocalStreak:
        """This streak with a running trial."""
        return replace(self, trial=permit, trial_until=deadline)

    def beside(
        self,
        now: int,
        config: CircuitBreakerConfig,
        *,
        closed: bool,
        changed_at: int,
        known_before: bool,
    ) -> LocalStreak | None:
        """This streak beside a newer shared state; None if that state ends it.

        Any change of the shared state ends it: an opening, a reset, an override. If the shared
        breaker was not ``known_before``, its last change may be older than the streak.
        """
        if not closed or (known_before and changed_at != self.changed_at):
            return None
        return replace(self, changed_at=changed_at).bounded(now, config)

    def bounded(self, now: int, config: CircuitBreakerConfig) -> LocalStreak:
        """This streak with times as if it opened now: a new server may have an earlier clock."""
        if not self.until and not self.trial_until:
            return self
        until = min(self.until, now + milliseconds(config.recovery_timeout))
        trial_until = min(self.trial_until, now + milliseconds(config.timeout_duration))
        if (until, trial_until) == (self.until, self.trial_until):
            return self
        return replace(self, until=until, trial_until=trial_until)


def held(
    local: LocalStreak | None,
    config: CircuitBreakerConfig,
    now: int,
    code: str,
    *,
    changed_at: int,
) -> LocalStreak:
    """The local streak after a refusal: open for ``recovery_timeout``, twice as long each time.

    It lasts for ``max_recovery_timeout`` at the most. A call that was in flight when the first
    refusal came prolongs nothing.
    """
    if local is not None and local.code and now < local.until:
        return local
    refusals = local.refusals if local is not None else 0
    longest = milliseconds(max(config.max_recovery_timeout, config.recovery_timeout))
    length = min(milliseconds(config.recovery_timeout) * 2 ** min(refusals, _MOST_DOUBLED), longest)
    return LocalStreak(
        changed_at, config.failure_threshold, now + length, code=code, refusals=refusals + 1
    )


def after_outcome(
    local: LocalStreak | None,
    config: CircuitBreakerConfig,
    now: int,
    outcome: Outcome,
    permit: str,
    *,
    changed_at: int,
    current: bool,
) -> LocalStreak | None:
    """The local streak after an outcome while the shared breaker is closed; None: no streak.

    ``changed_at`` is the shared breaker's; ``current`` says that the outcome belongs to its
    generation.
    """
    if local is not None and local.until:
        return _after_trial(local, config, now, outcome, permit)
    if not current or permit not in {"", UNTRACKED}:
        return local
    if outcome == "success":
        return None
    return _failed(local or LocalStreak(changed_at), config, now)


def _failed(local: LocalStreak, config: CircuitBreakerConfig, now: int) -> LocalStreak:
    failures = local.failures + 1
    opens = failures >= config.failure_threshold
    until = now + milliseconds(config.recovery_timeout) if opens else 0
    return LocalStreak(local.changed_at, failures, until)


def _after_trial(
    local: LocalStreak, config: CircuitBreakerConfig, now: int, outcome: Outcome, permit: str
) -> LocalStreak | None:
    """Only the outcome of a trial counts: other calls began before the local opening."""
    if permit == UNTRACKED:
        of_trial = not local.refused_until(now)
    else:
        of_trial = bool(permit) and permit == local.trial and now < local.trial_until
    if not of_trial:
        return local
    if outcome == "released":
        return local.trying("", 0)
    return None if outcome == "success" else _failed(local, config, now)
