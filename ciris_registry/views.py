"""What this process knows of the fleet: a mirror of each service type, a handle on each breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ciris_registry.breaker_parts import BreakerParts
from ciris_registry.handle import BreakerHandle
from ciris_registry.mirror import Mirror
from ciris_registry.shared_sync import SharedSync

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.parts import Parts


class Views:
    """Makes mirrors and handles on first use; a handle lives as long as somebody holds it.

    ``breaker_parts`` is what acts on breakers, whose handles it is given.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.breaker_parts = BreakerParts(parts)
        self.mirrors: dict[str, Mirror] = {}
        self.on_new: Callable[[], None] = lambda: None
        self._syncs: dict[str, SharedSync] = {}
        self._handles: dict[str, WeakValueDictionary[str, BreakerHandle]] = {}
        parts.link.on_change(self._link_changed)

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

    def handle(self, service_type: str, name: str) -> BreakerHandle:
        """The handle on a provider's breaker."""
        mirror = self.mirror(service_type)
        handles = self._handles[service_type]
        handle = handles.get(name)
        if handle is None:
            handle = handles[name] = BreakerHandle(name, mirror, self.parts, self.breaker_parts)
        return handle

    def _begin(self, service_type: str) -> Mirror:
        handles = self._handles[service_type] = WeakValueDictionary()
        mirror = Mirror(service_type, self.parts.settings, handles)
        mirror.on_ended = lambda name: self._ended_here(service_type, name)
        self._syncs[service_type] = SharedSync(mirror, self.parts)
        self.mirrors[service_type] = mirror  # last: it is what threads find the others by
        self.on_new()
        return mirror

    def _ended_here(self, service_type: str, name: str) -> None:
        self.breaker_parts.own_trials.tell(self.handle(service_type, name))

    def _link_changed(self) -> None:
        for mirror in self.mirrors.values():
            mirror.doubt()
