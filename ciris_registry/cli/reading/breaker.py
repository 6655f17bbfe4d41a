"""One breaker as status shows it: as plain data, and in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker import CircuitState, milliseconds, totals
from ciris_registry.cli.formatting import shown_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.circuit_breaker import BreakerState

_MOST_PROCESSES: Final = 3
"""Processes that are named in one place; the rest is counted."""


@dataclass(frozen=True, slots=True)
class OverrideStatus:
    """An override in force; ``left`` is in seconds, None without an end."""

    state: str
    reason: str
    actor: str
    until: int | None
    left: float | None


@dataclass(frozen=True, slots=True)
class LocalTripStatus:
    """A local trip: a process that refuses the provider for ``left`` seconds more."""

    process: str
    until: int
    left: float


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """One breaker at one moment.

    ``state`` is the breaker's own state, ``refused`` the reason why a call would be refused now, if
    any. ``recovery_left`` is the time until the next probe of an open breaker, regardless of
    cooldown and override. Times are milliseconds of the server's clock, durations are seconds.
    """

    name: str
    registered: bool
    state: str
    refused: str | None
    retry_after: float | None
    consecutive_failures: int
    failure_threshold: int
    probe_successes: int
    success_threshold: int
    permits_out: int
    half_open_max_calls: int
    window_calls: int
    window_failures: int
    total_successes: int
    total_failures: int
    consecutive_openings: int
    generation: int
    opened_at: int | None
    recovery_left: float | None
    last_failure_at: int | None
    cooldown_left: float | None
    open_locally: tuple[LocalTripStatus, ...]
    override: OverrideStatus | None

    @classmethod
    def of(
        cls,
        name: str,
        breaker: BreakerState,
        now: int,
        open_locally: Mapping[str, int],
        *,
        registered: bool,
    ) -> BreakerStatus:
        """The breaker at ``now``, milliseconds of the server's clock.

        ``open_locally`` has the end of each local trip, by process.
        """
        refusal = breaker.refusal(now)
        calls, failures = totals(breaker.buckets, now, milliseconds(breaker.config.window))
        return cls(
            name=name,
            registered=registered,
            state=breaker.state.value,
            refused=refusal.reason if refusal else None,
            retry_after=_left(refusal.retry_at, now) if refusal else None,
            consecutive_failures=breaker.consecutive_failures,
            failure_threshold=breaker.config.failure_threshold,
            probe_successes=breaker.probe_successes,
            success_threshold=breaker.config.success_threshold,
            permits_out=sum(deadline > now for deadline in breaker.permits.values()),
            half_open_max_calls=breaker.config.half_open_max_calls,
            window_calls=calls,
            window_failures=failures,
            total_successes=breaker.total_successes,
            total_failures=breaker.total_failures,
            consecutive_openings=breaker.consecutive_openings,
            generation=breaker.generation,
            opened_at=breaker.opened_at or None,
            recovery_left=_left(breaker.retry_at, now)
            if breaker.state is CircuitState.OPEN
            else None,
            last_failure_at=breaker.last_failure_at or None,
            cooldown_left=_left(breaker.cooldown_until, now) or None,
            open_locally=tuple(
                LocalTripStatus(process, until, (until - now) / 1000)
                for process, until in sorted(open_locally.items())
                if until > now
            ),
            override=_override(breaker, now),
        )

    @property
    def in_words(self) -> str:
        """What callers get, and the breaker's own state in brackets if that differs."""
        own = self._own_words()
        if self.override is not None:
            effective = f"forced {self.override.state}, {_ending(self.override.left)}"
        elif self.cooldown_left is not None:
            effective = f"cooling down, {_ending(self.cooldown_left)}"
        else:
            return own
        return effective if own == "closed" else f"{effective} (itself {own})"

    def _own_words(self) -> str:
        if self.state == "open":
            if self.recovery_left:
                return f"open, retry in {shown_duration(self.recovery_left * 1000)}"
            return "open, next call probes"
        if self.state == "half_open":
            permits = "permit" if self.permits_out == 1 else "permits"
            return f"half open, {self.permits_out} {permits} out"
        if not self.open_locally:
            return "closed"
        number = len(self.open_locally)
        shown = self.open_locally[:_MOST_PROCESSES]
        named = [f"{one.process} for {shown_duration(one.left * 1000)}" for one in shown]
        named += [f"{number - len(named)} more"] if number > len(named) else []
        where = f"{number} process{'' if number == 1 else 'es'}"
        return f"closed; open locally in {where}: {', '.join(named)}"


def _ending(left: float | None) -> str:
    return "until it is cleared" if left is None else f"{shown_duration(left * 1000)} left"


def _left(deadline: int, now: int) -> float | None:
    """Seconds until the deadline; None without one."""
    return max(0, deadline - now) / 1000 if deadline else None


def _override(breaker: BreakerState, now: int) -> OverrideStatus | None:
    state = breaker.override_in_force(now)
    if not state:
        return None
    return OverrideStatus(
        state=state,
        reason=breaker.override_reason,
        actor=breaker.override_actor,
        until=breaker.override_until or None,
        left=_left(breaker.override_until, now),
    )
