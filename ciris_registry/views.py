"""What this process knows of the fleet: a mirror of each service type, and each breaker in it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ciris_registry.breaker_parts import BreakerParts
from ciris_registry.cache import Replica, SingleFlight
from ciris_registry.shared_breaker import BreakerHandle, SharedBreaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.parts import Parts


class Views:
    """Makes mirrors and breakers on first use; a breaker lives as long as somebody holds it.

    ``breaker_parts`` is what acts on breakers.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.breaker_parts = BreakerParts(parts)
        self.replicas: dict[str, Replica] = {}
        self.on_new: Callable[[], None] = lambda: None
        self._syncs: dict[str, SingleFlight] = {}
        self._breakers: dict[str, WeakValueDictionary[str, SharedBreaker]] = {}
        parts.connectivity.on_change(self._link_changed)

    def replica(self, service_type: str) -> Replica:
        """This process's copy of a service type."""
        replica = self.replicas.get(service_type)
        return replica if replica is not None else self._begin(service_type)

    def shared_sync(self, service_type: str) -> SingleFlight:
        """What brings that copy up to date."""
        sync = self._syncs.get(service_type)
        if sync is None:
            self._begin(service_type)
            sync = self._syncs[service_type]
        return sync

    def breaker(self, service_type: str, name: str) -> SharedBreaker:
        """What is known of a provider's breaker."""
        replica = self.replica(service_type)
        breakers = self._breakers[service_type]
        breaker = breakers.get(name)
        if breaker is None:
            breaker = breakers[name] = SharedBreaker(name, replica, self.parts)
        return breaker

    def handle(self, service_type: str, name: str) -> BreakerHandle:
        """A handle on it, for programs."""
        return BreakerHandle(self.breaker(service_type, name), self.parts, self.breaker_parts)

    def _begin(self, service_type: str) -> Replica:
        breakers = self._breakers[service_type] = WeakValueDictionary()
        replica = Replica(service_type, self.parts.settings, breakers)
        replica.on_ended = lambda name: self._ended_here(service_type, name)
        self._syncs[service_type] = SingleFlight(replica, self.parts)
        self.replicas[service_type] = replica  # last: it is what threads find the others by
        self.on_new()
        return replica

    def _ended_here(self, service_type: str, name: str) -> None:
        self.breaker_parts.local_trips.tell(self.breaker(service_type, name))

    def _link_changed(self) -> None:
        for replica in self.replicas.values():
            replica.doubt()
