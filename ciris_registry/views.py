"""What this process knows of the fleet: a mirror of each service type, a handle on each breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.breaker_parts import BreakerParts
from ciris_registry.handle import BreakerHandle
from ciris_registry.mirror import Mirror

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
        parts.link.on_change(self._link_changed)

    def mirror(self, service_type: str) -> Mirror:
        """This process's copy of a service type."""
        mirror = self.mirrors.get(service_type)
        if mirror is None:
            mirror = self.mirrors[service_type] = Mirror(self.parts, service_type)
            mirror.on_ended = lambda name: self._ended_here(service_type, name)
            self.on_new()
        return mirror

    def handle(self, service_type: str, name: str) -> BreakerHandle:
        """The handle on a provider's breaker."""
        mirror = self.mirror(service_type)
        handle = mirror.handles.get(name)
        if handle is None:
            handle = mirror.handles[name] = BreakerHandle(
                name, mirror, self.parts, self.breaker_parts
            )
        return handle

    def _ended_here(self, service_type: str, name: str) -> None:
        self.breaker_parts.own_trials.tell(self.handle(service_type, name))

    def _link_changed(self) -> None:
        for mirror in self.mirrors.values():
            mirror.doubt()
