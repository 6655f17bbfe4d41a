"""What this process knows of one breaker of the fleet, and what it foresees of it.

Owns how that is read and changed; it is kept in the mirror, and what is learned while Redis is away
among what is learned meanwhile. It refuses to talk to Redis, and to decide what becomes of a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ciris_registry.circuit_breaker import BreakerState, CircuitState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache import Replica
    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.offline_outcomes import OfflineCounts

_R = TypeVar("_R")


class SharedBreaker:
    """The breaker of one provider of one service type, as far as it is known here.

    ``in_flight`` are the calls of this process that go on; ``elsewhere`` those of others, as slots
    have told, worth something until ``elsewhere_until``, a monotonic time. ``last_error`` is what a
    guarded call of this process failed with last.
    """

    def __init__(self, name: str, replica: Replica, parts: Parts) -> None:
        self.name = name
        self.service_type = replica.service_type
        self.key = (replica.service_type, name)
        self.replica = replica
        self._desired = parts.desired
        self._offline = parts.offline
        self.in_flight = 0
        self.last_error = ""
        self.elsewhere, self.elsewhere_until = 0, 0.0

    @property
    def config(self) -> CircuitBreakerConfig:
        """The settings, as far as they are known here."""
        return self.known().config

    @property
    def generation(self) -> int | None:
        """The generation as last seen; None if nothing is known of the breaker yet."""
        known = self.replica.breaker(self.name)
        return known.generation if known is not None else None

    def known(self) -> BreakerState:
        """Its state, foreseen or told; that of one that has seen nothing if none is known yet."""
        known = self.replica.breaker(self.name)
        if known is None:
            known = BreakerState(self._desired.config_for(self.service_type, self.name)[0])
            self.replica.put(self.name, known)
        return known

    def is_available(self) -> bool:
        """Whether a call would be admitted, as far as is known here."""
        breaker = self.known()
        available = breaker.refusal(self.replica.now()) is None
        if available:
            self.replica.asked[self.name] = _opening(breaker)
        return available

    def was_available(self) -> bool:
        """Whether somebody was told so since it opened last, for all or here only."""
        return self.replica.asked.get(self.name) == _opening(self.known())

    def apply_optimistically(self, change: Callable[[BreakerState, int], _R]) -> _R:
        """Foresee here what Redis will answer, so that the very next line sees it.

        A streak of this process alone sleeps while it is foreseen that all refuse the provider; any
        other decision ends it.
        """
        known = self.known()
        breaker = known.copy()
        answer = change(breaker, self.replica.now())
        if breaker.generation != known.generation and breaker.state is CircuitState.CLOSED:
            breaker.own = None
        self.replica.put(self.name, breaker)
        return answer

    def told_generation(self) -> int:
        """The shared generation that was last known, without what is foreseen here."""
        return (self.replica.authoritative(self.name) or self.known()).generation

    def learned(self, generation: int | None = None) -> OfflineCounts:
        """What was learned of it while Redis is away.

        If nothing was yet, it begins at this shared ``generation``, or the one last known.
        """
        since = self.told_generation() if generation is None else generation
        return self._offline.of(self.key, since)


def _opening(breaker: BreakerState) -> tuple[int, int]:
    """Which opening it is that somebody was told to be over: that of all, and that of here."""
    return breaker.opened_at, breaker.own.until if breaker.own is not None else 0
