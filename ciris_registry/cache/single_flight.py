"""Single flight: resolves that wait for a refresh at the same time share it.

A resolve may rely on any refresh that began after it asked. So those that wait share the next one
to start, and 64 at once cost two or three script calls. Decides which resolve waits for which
refresh, and for how long; what a refresh does is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.refresh import Refresh
from ciris_registry.cache.standstill import Standstill
from ciris_registry.errors import RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from ciris_registry.cache.desired_state import DesiredState
    from ciris_registry.cache.refresh import Refreshed
    from ciris_registry.cache.replica import Replica, Replicas
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store import Session, Store
    from ciris_registry.store.connection import Connectivity

_FIRST_LOAD: Final = 2.0
"""Seconds that the first load of a service type may take: this process has no data of it yet. It
may take twice as long as a call waits if Redis is far away: a load is two round trips and more."""

_ONE_TRY: Final = 0.5
"""Seconds after which the first load is retried, or a call's wait if that is longer."""

_SHORTEST_TRY: Final = 0.05
"""Seconds that it may take once Redis is connected again, however long it was suspended."""

_ONCE_MORE: Final = 0.25
"""Seconds for which a process that has stood still waits again, before it goes by old data."""

Taken = tuple[int, int]
"""The server's time at which the replica was true, and a position that was taken."""


class SingleFlight:
    """The refreshes of one replica."""

    def __init__(
        self,
        replica: Replica,
        session: Session,
        connectivity: Connectivity,
        desired: DesiredState,
        settings: RegistrySettings,
        standstill: Standstill,
    ) -> None:
        self._replica = replica
        self._session = session
        self._connectivity = connectivity
        self._refresh = Refresh(replica, connectivity, desired, settings.breaker)
        self._max_staleness = settings.max_staleness
        self._standstill = standstill
        self._forming: _Batch | None = None
        self._running: _Batch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def promptly(self, store: Store, cursor: str = "", *, exact: bool = True) -> Taken:
        """As ``run``, but it waits no longer than a resolve may.

        If nothing is loaded yet it waits longer: without any data, every provider would be called.
        So does a process that has just stood still, if its data are as old as that. A resolve that
        need not be ``exact`` goes by a first load that is running already.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        if not self._replica.loaded:
            return await self._first_load(store, cursor, exact=exact)
        watched = self._standstill
        watched.used_at = time.monotonic()
        if watched.loop is not asyncio.get_running_loop():
            watched.watch()
        try:
            self._connectivity.require()
            return await self.run(store, cursor, self._connectivity.timeout)
        except StoreUnavailableError:
            now = time.monotonic()
            left = min(_ONCE_MORE, watched.ended_at + 2 * _ONCE_MORE - now)
            if left <= 0 or now - self._replica.heard_at <= self._max_staleness:
                raise
            if not await self._connectivity.wait_connected(left):
                raise
            return await self.run(store, cursor, max(_SHORTEST_TRY, now + left - time.monotonic()))

    async def run(self, store: Store, cursor: str = "", limit: float | None = None) -> Taken:
        """Refresh the replica; the server's time, and the position taken of ``cursor``.

        Raises:
            StoreUnavailableError: Redis is away.
            CorruptStateError: One of the keys has a value of another type.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._forming, self._running = loop, None, None
        while True:
            batch = self._forming
            if batch is None:
                batch = self._forming = _Batch()
            place = batch.join(cursor, limit)
            if self._running is None:
                await self._fly(store, batch)
            elif limit is None or self._running.limit is not None:
                await batch.wait(loop)
            else:  # the running refresh may take its time
                await self._connectivity.while_answering(batch.wait(loop))
            if batch.error is not None:
                raise batch.error
            if batch.found is not None:
                now, positions = batch.found
                return now, positions.get(cursor, 0) + place
            self._session.check_open()
            # The resolve that made the call for all was cancelled: ask again.

    async def reload(self, store: Store) -> None:
        """Read everything again, counters too, whether the version has changed or not."""
        # The epoch stays: it tells a new life of the data from the old one.
        self._replica.expire()
        await self.run(store)

    async def _first_load(self, store: Store, cursor: str, *, exact: bool) -> Taken:
        wait = self._connectivity.timeout
        end = time.monotonic() + max(_FIRST_LOAD, 2 * wait)
        loop = asyncio.get_running_loop()
        while not self._replica.loaded:
            try:
                self._connectivity.require()
                left = min(max(_ONE_TRY, 2 * wait), end - time.monotonic())
                if not exact and self._running is not None and self._loop is loop:
                    await self._connectivity.within_timeout(self._running.ended(loop), left)
                    if self._replica.loaded:
                        break
                return await self.run(store, cursor, max(_SHORTEST_TRY, left))
            except StoreUnavailableError:
                if not await self._connectivity.wait_settled(end - time.monotonic()):
                    raise
        return await self.promptly(store, cursor) if exact else (self._replica.now(), 0)

    async def _fly(self, store: Store, batch: _Batch) -> None:
        if batch is not self._forming:
            return
        self._forming, self._running = None, batch
        try:
            work = self._refresh.run(store, batch.steps)
            batch.found = await (
                work
                if batch.limit is None
                else self._connectivity.within_timeout(work, batch.limit)
            )
        except RegistryError as error:
            batch.error = error
        finally:
            self._running = None
            batch.finish()
            if self._forming is not None:
                waiting = self._forming
                task = self._session.spawn(self._fly(store, waiting))
                # A task that is cancelled before it begins would leave them waiting for ever.
                task.add_done_callback(lambda ended: ended.cancelled() and waiting.finish())


class SingleFlights:
    """The single flights of one process, one for each replica."""

    def __init__(
        self,
        replicas: Replicas,
        session: Session,
        connectivity: Connectivity,
        desired: DesiredState,
        settings: RegistrySettings,
    ) -> None:
        self._replicas = replicas
        self._session = session
        self._connectivity = connectivity
        self._desired = desired
        self._settings = settings
        self._standstill = Standstill()
        self._by_type: dict[str, SingleFlight] = {}

    def of(self, service_type: str) -> SingleFlight:
        """The single flight of a service type's replica."""
        flight = self._by_type.get(service_type)
        if flight is None:
            flight = self._by_type[service_type] = SingleFlight(
                self._replicas.of(service_type),
                self._session,
                self._connectivity,
                self._desired,
                self._settings,
                self._standstill,
            )
        return flight

    def forget(self, service_type: str) -> None:
        """Drop the single flight of a replica that is dropped."""
        self._by_type.pop(service_type, None)


class _Batch:
    """Resolves that share one refresh, and the cursor steps that they take in it."""

    __slots__ = ("_waiting", "error", "found", "limit", "steps")

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.limit: float | None = None
        self.error: RegistryError | None = None
        self.found: Refreshed | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def join(self, cursor: str, limit: float | None) -> int:
        """Take part; the place among those that move the same cursor.

        The shortest ``limit`` of those that take part holds for all of them.
        """
        if limit is not None and (self.limit is None or limit < self.limit):
            self.limit = limit
        if not cursor:
            return 0
        place = self.steps.get(cursor, 0)
        self.steps[cursor] = place + 1
        return place

    def wait(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """A future that ends with the refresh."""
        waiting = loop.create_future()
        self._waiting.append(waiting)
        return waiting

    async def ended(self, loop: asyncio.AbstractEventLoop) -> None:
        """As ``wait``."""
        await self.wait(loop)

    def finish(self) -> None:
        """Let all that wait go on."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
