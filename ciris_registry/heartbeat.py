"""The heartbeat: renews this process's leases, and looks after what others left behind."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from ciris_registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ciris_registry.membership import Membership
    from ciris_registry.mirror import Mirror
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store import Store

_log = logging.getLogger(__name__)


class Heartbeat:
    """Says again and again that this process is alive, for every service type that it uses."""

    def __init__(
        self,
        settings: RegistrySettings,
        membership: Membership,
        mirrors: Mapping[str, Mirror],
        tidy: Callable[[], None],
    ) -> None:
        self._every = settings.heartbeat_every
        self._lease = settings.lease
        self._membership = membership
        self._mirrors = mirrors
        self._tidy = tidy
        self._outage = False

    async def run(self, store: Store) -> None:
        """Beat until cancelled; while Redis is away, at the same pace and with one log line."""
        while True:
            # Jitter keeps a fleet that was started at once from beating at once.
            await asyncio.sleep(self._every * random.uniform(0.9, 1.0))  # noqa: S311 # no secret
            try:
                self._tidy()
                await self.beat(store)
            except RegistryError as error:
                if not self._outage:
                    _log.warning("no heartbeat until Redis is back: %s", error)
                self._outage = True

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
        for service_type, mirror in list(self._mirrors.items()):
            try:
                await self._renew(store, service_type, mirror)
            except RegistryError as error:
                failures.append(error)
        if self._mirrors:
            await self._membership.announce(store, list(self._mirrors), again=True)
        if failures:
            raise failures[0]
        if self._outage:
            _log.info("the heartbeat reaches Redis again")
        self._outage = False

    async def _renew(self, store: Store, service_type: str, mirror: Mirror) -> None:
        if self._membership.departed:
            return
        ids = list(self._membership.own(service_type))
        names = mirror.snapshot.names()
        renewed = await store.renew(service_type, ids, names, outage=self._outage)
        if not self._outage and self._membership.was_cut_off():
            # It may have taken this very call long to come through: say so before anybody
            # is called dead.
            self._outage = True
            renewed = await store.renew(service_type, ids, names, outage=True)
        self._membership.note_renewal()
        known = mirror.snapshot.version[0]
        if renewed.lost and known in {"", renewed.version[0]}:
            await self._membership.rewrite(store, mirror.snapshot, renewed.lost)
        if renewed.expired or renewed.version != mirror.snapshot.version or renewed.lost:
            await mirror.sync(store)
