"""The shared breakers of one process, made on first use, and the handles that programs get."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from ciris_registry.shared_breaker.breaker import SharedBreaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache import DesiredState, Replicas
    from ciris_registry.shared_breaker.handle import BreakerHandle
    from ciris_registry.shared_breaker.offline_outcomes import OfflineOutcomes
    from ciris_registry.shared_breaker.success_batches import SuccessBatches


class Breakers:
    """A breaker lives as long as a caller, a picker or a handle holds it.

    Its replica remembers it for as long, so that a refresh reads it though it may have no
    registration.
    """

    def __init__(
        self,
        replicas: Replicas,
        desired: DesiredState,
        offline: OfflineOutcomes,
        batches: SuccessBatches,
        new_handle: Callable[[SharedBreaker], BreakerHandle],
    ) -> None:
        self._replicas = replicas
        self._desired = desired
        self._offline = offline
        self._batches = batches
        self._new_handle = new_handle
        self._handles: WeakSet[BreakerHandle] = WeakSet()

    def of(self, service_type: str, name: str) -> SharedBreaker:
        """What this process knows of a provider's breaker."""
        replica = self._replicas.of(service_type)
        held = self._replicas.held[service_type]
        breaker = held.get(name)
        if not isinstance(breaker, SharedBreaker):
            breaker = SharedBreaker(name, replica, self._desired, self._offline, self._batches)
            held[name] = breaker
        return breaker

    def handle(self, service_type: str, name: str) -> BreakerHandle:
        """A handle on a provider's breaker, for programs."""
        handle = self._new_handle(self.of(service_type, name))
        self._handles.add(handle)
        return handle

    def take_over(self, other: Breakers, service_type: str) -> None:
        """Let the handles of another partition on a service type act here from now on."""
        for handle in [one for one in other._handles if one.service_type == service_type]:
            handle.become(self.handle(service_type, handle.name))
