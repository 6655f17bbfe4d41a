"""What this process knows of the fleet: a mirror of each service type, a handle on each breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.handle import BreakerHandle
from ciris_registry.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.parts import Parts


class Views:
    """Makes mirrors and handles on first use; a handle lives as long as somebody holds it."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.mirrors: dict[str, Mirror] = {}
        self.on_new: Callable[[], None] = lambda: None
        parts.link.on_change(self._link_changed)

    def mirror(self, service_type: str) -> Mirror:
        """This process's copy of a service type."""
        mirror = self.mirrors.get(service_type)
        if mirror is None:
            mirror = self.mirrors[service_type] = Mirror(self.parts, service_type)
            mirror.on_ended = lambda name: self.handle(service_type, name).tell_here()
            self.on_new()
        return mirror

    def handle(self, service_type: str, name: str) -> BreakerHandle:
        """The handle on a provider's breaker."""
        mirror = self.mirror(service_type)
        handle = mirror.handles.get(name)
        if handle is None:
            handle = mirror.handles[name] = BreakerHandle(name, mirror, self.parts)
        return handle

    def _link_changed(self) -> None:
        for mirror in self.mirrors.values():
            mirror.doubt()
