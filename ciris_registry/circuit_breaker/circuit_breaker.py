"""The in-process circuit breaker: the state machine with a monotonic clock."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any, Final

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig, length_of, length_or_ever
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.circuit_breaker.states import UNTRACKED, CircuitState, Outcome, ReplyCode
from ciris_registry.circuit_breaker.stats import stats_of
from ciris_registry.errors import CircuitBreakerError


class CircuitBreaker:
    """A circuit breaker for one process, usable without a registry.

    Its methods are those of the in-process CIRIS registry, its rules those of the shared breaker.
    Reading changes no state. An open breaker reads HALF_OPEN once its next admission would be a
    probe. In HALF_OPEN, at most ``half_open_max_calls`` probes run at one time.

    ``check_and_raise()`` asks for admission. If the call is a probe, it holds a permit until the
    next outcome is recorded or ``timeout_duration`` has passed. If a program only asks
    ``is_available()`` and then records outcomes, those count as outcomes of the probe.

    ``min_failing_processes`` has no effect: there is only one process. Use it from one thread.
    """

    def __init__(self, name: str, config: CircuitBreakerConfig | None = None) -> None:
        self.name: Final = name
        self.config: Final = config or CircuitBreakerConfig()
        # No other process reports to this breaker.
        self._state = BreakerState(replace(self.config, min_failing_processes=1))
        self._tokens = itertools.count()
        self._held: list[str] = []
        self._last_failure_time: float | None = None
        self._available_at = -1

    @property
    def state(self) -> CircuitState:
        """The state now; an override in force counts, and OPEN may read HALF_OPEN (see above)."""
        return self._state.shown_state(self._now())

    @property
    def failure_count(self) -> int:
        """Failures in a row."""
        return self._state.consecutive_failures

    @property
    def success_count(self) -> int:
        """Successful probes since the breaker became HALF_OPEN."""
        return self._state.probe_successes

    @property
    def last_failure_time(self) -> float | None:
        """When the last counted failure was recorded, in seconds of the epoch, or None."""
        return self._last_failure_time

    def is_available(self) -> bool:
        """Whether a call would be admitted now. Changes no state."""
        available = self._state.refusal(self._now()) is None
        if available:
            self._available_at = self._state.opened_at
        return available

    def check_and_raise(self) -> None:
        """Ask for admission.

        Raises:
            CircuitBreakerError: The call is refused; ``retry_after`` is in seconds.
        """
        now = self._now()
        admission = self._state.acquire(now, f"{next(self._tokens)}")
        if admission.refusal is not None:
            reason, retry_at = admission.refusal
            retry_after = (retry_at - now) / 1000 if retry_at else None
            raise CircuitBreakerError(self.name, reason, retry_after)
        if admission.code is ReplyCode.PERMIT:
            self._held.append(admission.permit)

    def record_success(self) -> None:
        """Record that a call succeeded."""
        self._record("success")

    def record_failure(self) -> None:
        """Record that a call failed. This may open the breaker."""
        if self._record("failure") is not ReplyCode.STALE:
            self._last_failure_time = time.time()

    def cool_down(self, seconds: float, reason: str = "") -> None:  # noqa: ARG002 # as the handle
        """Refuse every call for ``seconds``, more than 0 and up to ten years.

        A longer cooldown in force stays. ``reason`` has no effect here: it is for the shared
        breaker's event.

        Raises:
            SettingsError: ``seconds`` is out of bounds.
        """
        self._state.cool_down(self._now(), length_of(seconds))

    def force_open(self, reason: str = "", duration: float | None = None) -> None:
        """Refuse every call, for ``duration`` seconds or until ``clear_override()``.

        Raises:
            SettingsError: ``duration`` is not more than 0 and up to ten years.
        """
        self._override("open", reason, duration)

    def force_close(self, reason: str = "", duration: float | None = None) -> None:
        """Admit every call, for ``duration`` seconds or until ``clear_override()``.

        Raises:
            SettingsError: ``duration`` is not more than 0 and up to ten years.
        """
        self._override("closed", reason, duration)

    def clear_override(self) -> None:
        """Clear the override; the breaker's own state is in force again."""
        self._state.set_override(self._now(), "")

    def reset(self, reason: str = "") -> None:  # noqa: ARG002 # as the handle
        """Close the breaker and forget its counters, cooldown and override; the settings stay.

        ``reason`` has no effect here: it is for the shared breaker's event.
        """
        self._held.clear()
        self._state.reset(self._now())

    def get_stats(self) -> dict[str, Any]:
        """Name, state and counters, keyed as in the in-process CIRIS registry, and more.

        Times are seconds of the epoch, durations seconds.
        """
        stats = stats_of(self.name, self._state, self._now())
        override = stats["override"]
        if override is not None and override["until"] is not None:
            override["until"] += time.time() - time.monotonic()
        return stats | {"last_failure_time": self.last_failure_time}

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state.value})"

    def _now(self) -> int:
        return int(time.monotonic() * 1000)

    def _override(self, override: str, reason: str, duration: float | None) -> None:
        length = length_or_ever(duration)
        self._state.set_override(
            self._now(), "open" if override == "open" else "closed", reason, "", length
        )

    def _record(self, outcome: Outcome) -> ReplyCode:
        now = self._now()
        permit = ""
        while self._held and not permit:
            held = self._held.pop(0)
            permit = held if self._state.permits.get(held, 0) > now else ""
        if not permit and self._available_at == self._state.opened_at:
            permit = UNTRACKED
        return self._state.record(now, outcome, permit)
