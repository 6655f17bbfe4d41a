"""What this process knows of the fleet: a mirror of each service type, and each breaker in it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ciris_registry.breaker_parts import BreakerParts
from ciris_registry.cache import Mirror, SharedSync
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
        self.mirrors: dict[str, Mirror] = {}
        self.on_new: Callable[[], None] = lambda: None
        self._syncs: dict[str, SharedSync] = {}
        self._breakers: dict[str, WeakValueDictionary[str, SharedBreaker]] = {}
        parts.connectivity.on_change(self._link_changed)

    def mirror(self, service_type: str) -> Mirror:
        """This process's copy of a service type."""
        mirror = self.mirrors.get(service_type)
        return mirror if mirror is not None else self._begin(service_type)

    def shared_sync(self, service_type: str) -> SharedSync:
        """What brings that copy up to date."""
        sync = self._syncs.get(service_type)
        if sync is None:
            self._begin(service_type)
            sync = self._syncs[service_type]
        return sync

    def breaker(self, service_type: str, name: str) -> SharedBreaker:
        """What is known of a provider's breaker."""
        mirror = self.mirror(service_type)
        breakers = self._breakers[service_type]
        breaker = breakers.get(name)
        if breaker is None:
            breaker = breakers[name] = SharedBreaker(name, mirror, self.parts)
        return breaker

    def handle(self, service_type: str, name: str) -> BreakerHandle:
        """A handle on it, for programs."""
        return BreakerHandle(self.breaker(service_type, name), self.parts, self.breaker_parts)

    def _begin(self, service_type: str) -> Mirror:
        breakers = self._breakers[service_type] = WeakValueDictionary()
        mirror = Mirror(service_type, self.parts.settings, breakers)
        mirror.on_ended = lambda name: self._ended_here(service_type, name)
        self._syncs[service_type] = SharedSync(mirror, self.parts)
        self.mirrors[service_type] = mirror  # last: it is what threads find the others by
        self.on_new()
        return mirror

    def _ended_here(self, service_type: str, name: str) -> None:
        self.breaker_parts.own_trials.tell(self.breaker(service_type, name))

    def _link_changed(self) -> None:
        for mirror in self.mirrors.values():
            mirror.doubt()
