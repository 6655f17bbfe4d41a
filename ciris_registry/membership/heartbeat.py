"""The heartbeat: renews this process's leases, and looks after what others left behind."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from ciris_registry.errors import RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache import Replica
    from ciris_registry.parts import Parts
    from ciris_registry.store import Store
    from ciris_registry.store.connection import Connectivity
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)


class Heartbeat:
    """Says again and again that this process is alive, for every service type that it uses."""

    def __init__(self, parts: Parts, views: Views, tidy: Callable[[], None]) -> None:
        self._every = parts.settings.heartbeat_every
        self._lease = parts.settings.lease
        self._desired = parts.desired
        self._slots = parts.slots
        self._views = views
        self._tidy = tidy
        self._outage = False
        self._told = False

    async def run(self, store: Store, connectivity: Connectivity) -> None:
        """Beat until cancelled, as long as Redis is there."""
        while True:
            # Jitter keeps a fleet that was started at once from beating at once.
            await asyncio.sleep(self._every * random.uniform(0.9, 1.0))  # noqa: S311 # no secret
            self._tidy()
            if not connectivity.ok:
                continue
            try:
                await self.beat(store)
                self._told = False
            except StoreUnavailableError as error:
                connectivity.doubt(error)
            except RegistryError as error:
                if not self._told:
                    _log.warning("a heartbeat failed: %s", error)
                self._told = True

    async def return_to(self, store: Store) -> None:
        """The first beat after an outage: what expired meanwhile is suspicious."""
        self._outage = True
        await self.beat(store)

    async def start(self, store: Store, *, unwritten: bool) -> None:
        """The first beat in an event loop; what is ``unwritten`` yet needs none."""
        uptime = await store.uptime()
        self._outage = self._outage or (uptime is not None and uptime < self._lease)
        if not unwritten:
            await self.beat(store)

    async def beat(self, store: Store) -> None:
        """Renew every lease, register again what was lost, and sweep away what has expired.

        What goes wrong with one service type does not keep the others from being renewed.
        """
        failures: list[RegistryError] = []
        for service_type, replica in list(self._views.replicas.items()):
            try:
                await self._renew(store, service_type, replica)
            except RegistryError as error:
                failures.append(error)
        if self._views.replicas:
            await self._desired.announce(store, list(self._views.replicas), again=True)
        if failures:
            raise failures[0]
        self._outage = False

    async def _renew(self, store: Store, service_type: str, replica: Replica) -> None:
        if self._desired.departed:
            return
        ids = list(self._desired.own(service_type))
        names = replica.snapshot.names()
        renewed = await store.registrations.renew(service_type, ids, names, outage=self._outage)
        if not self._outage and self._desired.was_cut_off():
            # It may have taken this very call long to come through: say so before anybody
            # is called dead.
            self._outage = True
            renewed = await store.registrations.renew(service_type, ids, names, outage=True)
        self._desired.note_renewal()
        await self._slots.renew(store, service_type)
        known = replica.snapshot.version[0]
        if renewed.lost and known in {"", renewed.version[0]}:
            await self._desired.rewrite(store, replica.snapshot, renewed.lost)
        if renewed.expired or renewed.version != replica.snapshot.version or renewed.lost:
            await self._views.shared_sync(service_type).sync(store)
