"""What this process knows of the fleet: a mirror of each service type, a handle on each breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.handle import BreakerHandle
from ciris_registry.mirror import Mirror
from ciris_registry.permits import HeldPermits

if TYPE_CHECKING:
    from ciris_registry.breaker_config import CircuitBreakerConfig
    from ciris_registry.membership import Membership
    from ciris_registry.outbox import Outbox
    from ciris_registry.session import Session


class Views:
    """Makes mirrors and handles on first use, and keeps them."""

    def __init__(
        self,
        session: Session,
        outbox: Outbox,
        membership: Membership,
        default: CircuitBreakerConfig,
    ) -> None:
        self.session = session
        self.mirrors: dict[str, Mirror] = {}
        self.permits = HeldPermits(session.process)
        self._handles: dict[tuple[str, str], BreakerHandle] = {}
        self._outbox = outbox
        self._membership = membership
        self._default = default

    def mirror(self, service_type: str) -> Mirror:
        """This process's copy of a service type."""
        mirror = self.mirrors.get(service_type)
        if mirror is None:
            mirror = self.mirrors[service_type] = Mirror(
                self.session, service_type, self._membership, self._default
            )
        return mirror

    def handle(self, service_type: str, name: str) -> BreakerHandle:
        """The handle on a provider's breaker."""
        handle = self._handles.get((service_type, name))
        if handle is None:
            handle = self._handles[service_type, name] = BreakerHandle(
                name,
                self.mirror(service_type),
                self.session,
                self._outbox,
                self._membership,
                self.permits,
            )
        return handle
