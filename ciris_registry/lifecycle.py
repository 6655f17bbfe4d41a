"""What this process has to tell Redis, told; and what Redis knows, read anew.

Owns how long a program waits for either where it asks for it. It refuses to decide what is told:
that waits in the outbox and among the successes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import StoreUnavailableError
from ciris_registry.names import service_type_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum

    from ciris_registry.parts import Parts
    from ciris_registry.store import Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

GOODBYE: Final = 0.25
"""Seconds that closing waits for Redis to answer at all."""


class Exchange:
    """Both ways between one process and Redis; ``tidy`` leaves what has died meanwhile."""

    def __init__(self, parts: Parts, views: Views, tidy: Callable[[], None]) -> None:
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._write_queue = parts.write_queue
        self._successes = parts.successes
        self._desired = parts.desired
        self._views = views
        self._tidy = tidy

    async def tell(self) -> None:
        """Everything that waits now has reached Redis when this returns.

        Raises:
            StoreUnavailableError: Redis is away; nothing is lost by that.
        """
        self._connectivity.check()
        await self._successes.flush()
        await self._write_queue.flush()
        await self._write_queue.landed()

    async def tell_patiently(self) -> None:
        """``tell``, again whenever Redis is back, for ``settings.write_timeout`` seconds."""
        await self._session.store()
        self._tidy()
        await self._connectivity.patiently(self.tell)

    async def read_patiently(self, service_type: str | Enum | None) -> None:
        """Read one service type anew, or all in use; as patiently."""
        store = await self._session.store()
        await self._connectivity.patiently(lambda: self._read(store, service_type))

    async def read_unless_away(self, service_type: str | Enum | None) -> None:
        """Read one service type anew, or all in use, as long as Redis answers."""
        store = await self._session.store()
        await self._session.unless_away(lambda: self._read(store, service_type))

    async def depart(self) -> None:
        """Tell what waits and leave the fleet, if Redis answers within a moment."""
        try:
            unsaid = (
                self._write_queue.pending or self._write_queue.under_way or self._successes.pending
            )
            if unsaid or self._session.running():
                store = await self._session.store()
                await self._connectivity.promptly(store.ping(GOODBYE), GOODBYE)
                await self.tell()
                await self._desired.depart(store, list(self._views.replicas))
        except StoreUnavailableError as error:
            _log.warning("closed without saying so to the fleet; the leases run out: %s", error)

    async def _read(self, store: Store, service_type: str | Enum | None) -> None:
        self._tidy()
        await self.tell()
        kinds = (
            {*self._views.replicas, *await store.processes.service_types()}
            if service_type is None
            else {service_type_name(service_type)}
        )
        for kind in sorted(kinds):
            await self._views.shared_sync(kind).reload(store)
