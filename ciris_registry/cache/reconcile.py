"""Agreeing with Redis when it is there for the first time, or again.

Owns the order: what this process has written and learned meanwhile goes first, then it says that it
lives, then everything is read anew. It refuses to follow anything afterwards, which the tail does.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from ciris_registry.cache.refresh_schedule import RefreshSchedule
    from ciris_registry.membership import Heartbeat
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker import OfflineCounts, SuccessBatch
    from ciris_registry.store import Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

_FIRST_CONTACT: Final = 2.0
"""Seconds that a registry that begins waits for Redis, before it goes on by itself."""

_PING: Final = 1.0
"""Seconds after which Redis counts as away that somebody has waited for in vain already."""

FIRST_WAIT: Final = 0.02
LONGEST_WAIT: Final = 2.0
"""Seconds between two attempts to reach Redis again, or to read what it refuses to tell."""


class Reconciler:
    """How one process comes to Redis, and comes back to it."""

    def __init__(
        self, parts: Parts, views: Views, heartbeat: Heartbeat, schedule: RefreshSchedule
    ) -> None:
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._write_queue = parts.write_queue
        self._successes = parts.successes
        self._offline = parts.offline
        self._views = views
        self._heartbeat = heartbeat
        self._schedule = schedule
        self._connectivity.on_change(self._rescue)
        self._successes.on_away = self._learned
        self._successes.on_missing = self._mend

    async def begin(self, store: Store) -> None:
        """Look for Redis once, in a new event loop; the link says how that went."""
        try:
            async with asyncio.timeout(_FIRST_CONTACT):
                if self._offline:  # of an event loop that ended while Redis was away
                    await store.ping(_PING)
                    await self._offer(store)
                await self._heartbeat.start(store, unwritten=self._write_queue.pending)
            self._connectivity.restored()
        except TimeoutError:
            self._connectivity.lost(f"no answer within {_FIRST_CONTACT:g} s")
        except StoreUnavailableError as error:
            self._connectivity.lost(error)

    async def again(self, store: Store) -> None:
        """Try to agree with Redis again, at growing, jittered intervals, until it is done."""
        wait = FIRST_WAIT
        while True:
            try:
                await self._agree(store)
                self._connectivity.restored()
                await self._offer(store)  # what was learned while it was read anew
            except RegistryError as error:
                self._connectivity.lost(error)
            else:
                return
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 # no secret
            wait = min(2 * wait, LONGEST_WAIT)

    async def _agree(self, store: Store) -> None:
        """Write what waits, say that this process lives, and read everything anew."""
        await self._session.revive()
        store.renew()
        await store.ping(_PING)
        await self._offer(store)
        await self._write_queue.deliver()
        try:
            await self._heartbeat.return_to(store)
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            _log.warning("the first heartbeat failed: %s", error)  # one damaged service type
        for kind in list(self._views.replicas):
            await self._schedule.surely(store, kind)

    async def _offer(self, store: Store) -> None:
        async def merge(key: tuple[str, str], counts: OfflineCounts) -> None:
            await self._views.breaker_parts.writes.merge(self._views.breaker(*key), store, counts)

        await self._offline.source(merge)

    def _rescue(self) -> None:
        if not self._connectivity.ok:
            # In the order in which they happened: behind what is counted no failure waits.
            self._write_queue.rescue()
            self._successes.rescue()

    def _learned(self, key: tuple[str, str], counted: SuccessBatch) -> None:
        self._views.breaker_parts.outcomes.learn(self._views.breaker(*key), counted)

    async def _mend(self, store: Store, key: tuple[str, str]) -> None:
        await self._views.breaker_parts.writes.mend(self._views.breaker(*key), store)
