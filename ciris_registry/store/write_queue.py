"""Writes that synchronous methods leave behind, carried out in their order.

A method that must not wait puts its write here; it reaches Redis in the background, and in any
case before the next awaited call of the registry returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.errors import IndeterminateWriteError, RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.store.connection import Connectivity
    from ciris_registry.store.session import Session
    from ciris_registry.store.store import Store

_log = logging.getLogger(__name__)

MOST_PENDING: Final = 10_000
"""Writes that wait for Redis; beyond them the oldest is dropped. Registrations are desired state,
which the heartbeat makes good, and outcomes do not wait here while Redis is away."""


class _Write(NamedTuple):
    run: Callable[[Store], Awaitable[object]]
    what: str
    repeatable: bool
    away: Callable[[], object] | None


class WriteQueue:
    """The pending writes of one process.

    ``pending`` says whether any has not reached Redis yet, ``must_flush`` whether one of them has
    to be there before the next awaited call of the registry returns.
    """

    def __init__(self, session: Session, connectivity: Connectivity) -> None:
        self.pending = self.must_flush = False
        self.dropped = 0
        self._session = session
        self._connectivity = connectivity
        self._writes: deque[_Write] = deque()
        self._running: _Write | None = None
        self._draining: asyncio.Task[None] | None = None
        self._put = self._done = self._must_reach = 0
        self._progress: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._writes)

    def put(
        self,
        what: str,
        run: Callable[[Store], Awaitable[object]],
        *,
        repeatable: bool = True,
        must_flush: bool = False,
        away: Callable[[], object] | None = None,
    ) -> None:
        """Leave a write behind; ``what`` names it in the log.

        One that is not ``repeatable`` is dropped if the event loop ends while it is on its way. One
        that has an ``away`` does not wait for Redis to come back: that is called instead.
        """
        if away is not None and not self._connectivity.connected:
            away()
            return
        if len(self._writes) >= MOST_PENDING:
            self._drop()
        self._writes.append(_Write(run, what, repeatable, away))
        self._put += 1
        if must_flush:
            self._must_reach = self._put
        self._note()
        self.resume()

    def resume(self) -> None:
        """Carry out in the background what is pending, if Redis is there."""
        if self._writes and self._connectivity.connected and self._session.running():
            self._drained()

    def rescue(self) -> None:
        """Redis is away: whatever need not wait for it does not."""
        waiting, self._writes = self._writes, deque[_Write]()
        for write in waiting:
            if write.away is None or write is self._running:
                self._writes.append(write)  # what is on its way may have arrived
            else:
                self._done += 1
                write.away()
        self._progressed()

    async def flush(self) -> None:
        """Wait until everything that is pending now has reached Redis.

        Raises:
            StoreUnavailableError: Redis is away; what is pending stays pending.
        """
        last = self._put
        while self._done < last:
            await self._session.store()
            draining, one_more = self._drained(), asyncio.get_running_loop().create_future()
            self._progress.append(one_more)
            await asyncio.wait({draining, one_more}, return_when=asyncio.FIRST_COMPLETED)
            if draining.done() and self._done < last:
                draining.result()

    async def deliver(self) -> None:
        """Carry out what is pending, though Redis is not known to be back yet.

        Raises:
            StoreUnavailableError: Redis is away; what is pending stays pending.
        """
        while self._writes:
            await asyncio.shield(self._drained())

    async def finish(self, write_timeout: float) -> None:
        """Carry out what is pending within ``write_timeout`` seconds, or leave it."""
        try:
            async with asyncio.timeout(write_timeout):
                # The end of the loop has cancelled the drain that was on its way: begin another.
                while self._writes:
                    await asyncio.wait({self._drained()})
                    if self._draining is not None and not self._draining.cancelled():
                        break
        except TimeoutError:
            _log.warning("%s writes are left undone at the end of the loop", len(self._writes))
        if self._draining is not None and not self._draining.done():
            self._draining.cancel()

    def _drained(self) -> asyncio.Task[None]:
        task = self._draining
        loop = asyncio.get_running_loop()
        if task is None or task.done() or task.get_loop() is not loop:
            task = self._draining = loop.create_task(self._drain())
            # Nobody may be waiting: a failure is logged where it happens.
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task

    async def _drain(self) -> None:
        # A program that ends right after it left a write must not end in the middle of it.
        await asyncio.sleep(0)
        store = await self._session.store()
        while self._writes:
            write = self._running = self._writes[0]  # pending until it is done
            try:
                await write.run(store)
            except StoreUnavailableError as error:
                self._connectivity.suspect(error)
                if isinstance(error, IndeterminateWriteError) and not write.repeatable:
                    # Sent once more, it could count twice.
                    _log.info("%s may be lost: %s", write.what, error)
                    self._forget(write)
                elif write.away is not None:
                    write.away()
                    self._forget(write)
                raise  # what is left waits until Redis is back
            except RegistryError as error:
                _log.error("%s failed: %s", write.what, error)  # it says it all
            except Exception:  # noqa: BLE001 # a write may raise anything
                # Whatever it is, those behind it must not wait for it.
                _log.exception("%s failed", write.what)
            except BaseException:
                if not write.repeatable:
                    self._forget(write)
                raise
            finally:
                self._running = None
            self._forget(write)

    def _forget(self, write: _Write) -> None:
        if not self._writes or self._writes[0] is not write:
            return  # all were cleared meanwhile
        self._writes.popleft()
        self._done += 1
        self._progressed()

    def _drop(self) -> None:
        if not self.dropped:
            _log.warning("more than %s writes wait for Redis: the oldest go", MOST_PENDING)
        self.dropped += 1
        self._forget(self._writes[0])

    def _note(self) -> None:
        self.pending = bool(self._writes)
        self.must_flush = self._done < self._must_reach

    def _progressed(self) -> None:
        self._note()
        for waiting in self._progress:
            if not waiting.done():
                waiting.set_result(None)
        self._progress.clear()
