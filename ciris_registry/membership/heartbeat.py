"""The heartbeat: renews the lease of this process, restores lost records, expires old leases."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from ciris_registry.errors import RegistryError, StoreUnavailableError
from ciris_registry.membership.expiry import remove_expired
from ciris_registry.membership.lost_data import find_lost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.cache import DesiredState, Replica, Replicas, SingleFlights
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store import Beat, Store, Version
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)


class Heartbeat:
    """Renews the lease of this process at each interval, whatever it has registered.

    ``leave_dead`` unregisters providers whose weakly held instances have died. ``renew_slots``
    renews the slots of running calls.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        connectivity: Connectivity,
        desired: DesiredState,
        replicas: Replicas,
        single_flights: SingleFlights,
        *,
        leave_dead: Callable[[], None],
        renew_slots: Callable[[Store, str], Awaitable[None]],
    ) -> None:
        self._interval = settings.heartbeat_every
        self._lease = settings.lease
        self._connectivity = connectivity
        self._desired = desired
        self._replicas = replicas
        self._single_flights = single_flights
        self._leave_dead = leave_dead
        self._renew_slots = renew_slots
        self._outage = False
        self._warned = False
        self._known: dict[str, Version] = {}

    async def run(self, store: Store) -> None:
        """Beat at each interval while Redis is connected, until cancelled."""
        while True:
            # Jitter spreads the heartbeats of processes that started together.
            await asyncio.sleep(self._interval * random.uniform(0.9, 1.0))  # noqa: S311 # no secret
            self._leave_dead()
            if not self._connectivity.connected:
                continue
            try:
                await self.beat(store)
                self._warned = False
            except StoreUnavailableError as error:
                self._connectivity.suspect(error)
            except RegistryError as error:
                if not self._warned:
                    _log.warning("a heartbeat failed: %s", error)
                self._warned = True

    async def after_outage(self, store: Store) -> None:
        """The first beat after an outage, which does not trust leases that ended during it.

        A damaged service type does not stop the process from rejoining.
        """
        self._outage = True
        try:
            await self.beat(store)
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            _log.warning("the first heartbeat failed: %s", error)

    async def start(self, store: Store, *, unwritten: bool) -> None:
        """The first beat in an event loop; none if registrations are still ``unwritten``."""
        uptime = await store.uptime()
        self._outage = self._outage or (uptime is not None and uptime < self._lease)
        if not unwritten:
            await self.beat(store)

    async def beat(self, store: Store) -> None:
        """Renew the lease, write lost records again, expire ended leases of other processes.

        A failure in one service type does not stop the care of the others.
        """
        replicas = dict(self._replicas.by_type)
        if self._desired.left or not replicas:
            return
        beat = await self._desired.beat(store, list(replicas), outage=self._outage)
        if not self._outage and self._desired.was_cut_off():
            # The call itself may have taken that long: note the outage before any lease expires.
            self._outage = True
            beat = await self._desired.beat(store, list(replicas), outage=True)
        self._desired.note_renewal()
        failures: list[RegistryError] = []
        for replica in replicas.values():
            try:
                await self._look_after(store, replica, beat)
            except RegistryError as error:
                failures.append(error)
        if beat.expired and self._desired.may_expire_others():
            await remove_expired(store)
        if failures:
            raise failures[0]
        self._outage = False

    async def _look_after(self, store: Store, replica: Replica, beat: Beat) -> None:
        service_type = replica.service_type
        await self._renew_slots(store, service_type)
        version, known = beat.versions[service_type], replica.snapshot.version
        if beat.rejoin and known[0] in {"", version[0]}:
            ids = list(self._desired.registrations(service_type))
            await self._desired.rewrite(store, replica.snapshot, ids)
        if service_type in beat.checks:
            await find_lost(store, replica, self._desired.retention)
        moves = known[0] == version[0] and known != self._known.get(service_type, known)
        self._known[service_type] = known
        if beat.rejoin or (version != known and not moves):  # events bring it up to date
            await self._single_flights.of(service_type).run(store)
