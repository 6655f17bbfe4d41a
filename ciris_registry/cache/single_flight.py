"""Syncs of one service type, shared by all who wait for one at the same time.

A resolve may rely on any call that began after it asked: so they share the next one to start, and
64 at once cost two or three. It refuses to know what a sync does, and owns who waits for which, and
for how long.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.refresh import Refresh
from ciris_registry.errors import RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ciris_registry.cache.refresh import UpToDate
    from ciris_registry.cache.replica import Replica
    from ciris_registry.parts import Parts
    from ciris_registry.store import Store

_FIRST_LOOK: Final = 2.0
_ONE_LOOK: Final = 0.5
"""Seconds that the first look at a service type may take, as nothing is known of it; and from when
on Redis is asked whether it is there at all."""

_SHORTEST_LOOK: Final = 0.05
"""Seconds that it may take once a doubt has ended, however long that lasted."""

Taken = tuple[int, int]
"""The server's time at which the mirror was true, and a position that was taken."""


class SingleFlight:
    """The syncs of one mirror."""

    def __init__(self, replica: Replica, parts: Parts) -> None:
        self._replica = replica
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._refresh = Refresh(replica, parts)
        self._forming: _Batch | None = None
        self._running: _Batch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def promptly(self, store: Store, cursor: str = "") -> Awaitable[Taken]:
        """As ``sync``, but it waits no longer than a resolve may.

        Who knows nothing yet waits for the end of a doubt: he would let everybody through.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        if not self._replica.loaded:
            return self._first_look(store, cursor)
        self._connectivity.check()
        return self.sync(store, cursor, self._connectivity.timeout)

    async def sync(self, store: Store, cursor: str = "", limit: float | None = None) -> Taken:
        """Bring the mirror up to date; the server's time, and the position taken of ``cursor``.

        Raises:
            StoreUnavailableError: Redis is away.
            DamagedStateError: Somebody wrote another type under one of its keys.
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
                await self._run(store, batch)
            elif limit is None or self._running.limit is not None:
                await batch.wait(loop)
            else:  # what runs now may take its time
                await self._connectivity.attentively(batch.wait(loop))
            if batch.error is not None:
                raise batch.error
            if batch.found is not None:
                now, positions = batch.found
                return now, positions.get(cursor, 0) + place
            self._session.check_open()
            # Whoever asked for all of us was cancelled: ask again.

    async def reload(self, store: Store) -> None:
        """Read everything again, counters too, whether the version has changed or not."""
        # The same epoch: what tells a new life of the data from the old one must not be lost.
        self._replica.expire()
        await self.sync(store)

    async def _first_look(self, store: Store, cursor: str) -> Taken:
        end = time.monotonic() + _FIRST_LOOK
        while not self._replica.loaded:
            try:
                self._connectivity.check()
                left = min(_ONE_LOOK, end - time.monotonic())
                return await self.sync(store, cursor, max(_SHORTEST_LOOK, left))
            except StoreUnavailableError:
                if not await self._connectivity.settled(end - time.monotonic()):
                    raise
        return await self.promptly(store, cursor)

    async def _run(self, store: Store, batch: _Batch) -> None:
        if batch is not self._forming:
            return
        self._forming, self._running = None, batch
        try:
            work = self._refresh.agree(store, batch.steps)
            batch.found = await (
                work if batch.limit is None else self._connectivity.promptly(work, batch.limit)
            )
        except RegistryError as error:
            batch.error = error
        finally:
            self._running = None
            batch.finish()
            if self._forming is not None:
                waiting = self._forming
                task = self._session.spawn(self._run(store, waiting))
                # One that is cancelled before it begins would leave them waiting for ever.
                task.add_done_callback(lambda ended: ended.cancelled() and waiting.finish())


class _Batch:
    """Those who share one call, and the cursor steps that they take in it."""

    __slots__ = ("_waiting", "error", "found", "limit", "steps")

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.limit: float | None = None
        self.error: RegistryError | None = None
        self.found: UpToDate | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def join(self, cursor: str, limit: float | None) -> int:
        """Take part; the place among those who move the same cursor.

        Who must not wait for longer than ``limit`` makes all who take part give up by then.
        """
        if limit is not None and (self.limit is None or limit < self.limit):
            self.limit = limit
        if not cursor:
            return 0
        place = self.steps.get(cursor, 0)
        self.steps[cursor] = place + 1
        return place

    def wait(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """For the end of the call that somebody else makes."""
        waiting = loop.create_future()
        self._waiting.append(waiting)
        return waiting

    def finish(self) -> None:
        """Let everybody go on."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
