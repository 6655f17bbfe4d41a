"""The write-behind queue: writes of synchronous methods, sent in their order.

A method that must not wait puts its write here. It reaches Redis in the background, and with
``must_flush`` before the next awaited call of the registry returns. A write that is sent again
keeps its place; one that Redis goes on refusing is set aside.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.errors import IndeterminateWriteError, RegistryError, StoreUnavailableError
from ciris_registry.store.write_queue.rejected_writes import RejectedWrites

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.store.connection import Connectivity
    from ciris_registry.store.session import Session
    from ciris_registry.store.store import Store

_log = logging.getLogger(__name__)

MOST_PENDING: Final = 10_000
"""The most writes that wait for Redis; beyond it the oldest is dropped. A heartbeat registers again
what was lost that way, and outcomes do not wait here while Redis is away."""


class _Write(NamedTuple):
    number: int
    run: Callable[[Store], Awaitable[object]]
    what: str
    repeatable: bool
    away: Callable[[], object] | None


class WriteQueue:
    """The pending writes of one process.

    ``pending`` says whether any has not reached Redis yet, ``must_flush`` whether one of them has
    to be there before the next awaited call of the registry returns. It is then in ``unflushed``,
    the queues of which that holds, one for each partition.
    """

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        unflushed: set[WriteQueue] | None = None,
    ) -> None:
        self.pending = self.must_flush = False
        self.dropped = 0
        self.rejected = RejectedWrites(connectivity)
        self._unflushed = set[WriteQueue]() if unflushed is None else unflushed
        self._session = session
        self._connectivity = connectivity
        self._writes: deque[_Write] = deque()
        self._running: _Write | None = None
        self._draining: asyncio.Task[None] | None = None
        self._put = self._must_reach = 0
        self._progress: list[asyncio.Future[None]] = []

    @property
    def last(self) -> int:
        """The number of the write that was added last."""
        return self._put

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
    ) -> int:
        """Add a write, and return its number; ``what`` names it in the log.

        A write that is not ``repeatable`` is dropped if the event loop ends while it is in flight.
        A write with ``away`` does not wait while Redis is away: ``away`` is called instead.
        """
        if away is not None and not self._connectivity.connected:
            away()
            return self._put
        if len(self._writes) >= MOST_PENDING:
            self._drop()
        self._put += 1
        self._writes.append(_Write(self._put, run, what, repeatable, away))
        if must_flush:
            self._must_reach = self._put
        self._note()
        self.resume()
        return self._put

    def resume(self) -> None:
        """Send the pending writes in the background, if Redis is connected."""
        if self._writes and self._connectivity.connected and self._session.running():
            self._drained()

    def rescue(self) -> None:
        """Redis is away: call ``away`` of each pending write that has it, instead of the write."""
        waiting, self._writes = self._writes, deque[_Write]()
        for write in waiting:
            if write.away is None or write is self._running:
                self._writes.append(write)  # a write in flight may have reached Redis
            else:
                write.away()
        self._progressed()

    async def flush(self) -> None:
        """Wait until all writes that are pending now have reached Redis.

        Raises:
            StoreUnavailableError: Redis is away; the writes stay pending.
        """
        last = self._put
        while self._waits(last):
            await self._session.store()
            draining, one_more = self._drained(), asyncio.get_running_loop().create_future()
            self._progress.append(one_more)
            await asyncio.wait({draining, one_more}, return_when=asyncio.FIRST_COMPLETED)
            if draining.done() and self._waits(last):
                draining.result()

    async def flush_unless_away(self) -> None:
        """``flush``, as long as Redis answers; connect first."""
        await self._session.store()
        await self._session.unless_away(self.flush)

    async def deliver(self) -> None:
        """Send the pending writes, also while Redis is suspended or lost.

        Raises:
            StoreUnavailableError: Redis is away; the writes stay pending.
        """
        while self._writes:
            earlier, draining = self._draining, self._drained()
            try:
                await asyncio.shield(draining)
            except StoreUnavailableError:
                if draining is not earlier:  # that one may have used a dead connection
                    raise

    async def finish(self, seconds: float) -> None:
        """Send the pending writes within so many seconds; the rest stays pending."""
        try:
            async with asyncio.timeout(seconds):
                # The end of the loop has cancelled the running drain: begin another.
                while self._writes:
                    await asyncio.wait({self._drained()})
                    if self._draining is not None and not self._draining.cancelled():
                        break
        except TimeoutError:
            _log.warning(
                "%s writes are still pending at the end of the event loop", len(self._writes)
            )
        if self._draining is not None and not self._draining.done():
            self._draining.cancel()

    def _drained(self) -> asyncio.Task[None]:
        task = self._draining
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            # A failure is logged where it happens, and may have no other reader.
            task = self._draining = self._session.spawn(self._drain(), watched=True)
        return task

    async def _drain(self) -> None:
        # A program that ends right after it added a write must not end in the middle of it.
        await asyncio.sleep(0)
        store = await self._session.store()
        while self._writes:
            write = self._running = self._writes[0]  # pending until it has succeeded
            try:
                await self.rejected.send(store, write.what, write.run)
            except StoreUnavailableError as error:
                self._connectivity.suspect(error)
                if isinstance(error, IndeterminateWriteError) and not write.repeatable:
                    # Sent once more, it could count twice.
                    _log.info("%s may be lost: %s", write.what, error)
                    self._forget(write)
                elif write.away is not None:
                    write.away()
                    self._forget(write)
                raise  # the other writes wait until Redis is back
            except RegistryError as error:
                _log.error("%s failed: %s", write.what, error)
            except Exception:  # noqa: BLE001 # a write may raise anything
                # No error may hold up the writes after it.
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
            return  # rescue has replaced the queue
        self._writes.popleft()
        self._progressed()

    def _drop(self) -> None:
        if not self.dropped:
            _log.warning("more than %s writes wait for Redis: the oldest are dropped", MOST_PENDING)
        self.dropped += 1
        oldest = self._writes[0]
        if oldest.away is not None and oldest is not self._running:
            oldest.away()  # one in flight may reach Redis
        self._forget(oldest)

    def _note(self) -> None:
        self.pending = bool(self._writes)
        self.must_flush = self._waits(self._must_reach)
        (self._unflushed.add if self.must_flush else self._unflushed.discard)(self)

    def _waits(self, last: int) -> bool:
        """Whether one of the writes up to this number is pending; the deque is in their order."""
        return bool(self._writes) and self._writes[0].number <= last

    def _progressed(self) -> None:
        self._note()
        for waiting in self._progress:
            if not waiting.done():
                waiting.set_result(None)
        self._progress.clear()
