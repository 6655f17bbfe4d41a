"""Successes of closed breakers, counted in this process and reported in batches.

A report says how old its newest success is, so that a batch never ends a streak that is younger.
If the process dies, the successes since the last report are lost: at most those of
``settings.success_report_interval`` seconds, and never a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.errors import IndeterminateWriteError, RegistryError, StoreUnavailableError
from ciris_registry.store import BatchedSuccesses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ciris_registry.store import Session, Store
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Service type and provider."""

MOST_PER_REPORT: Final = 500
"""Breakers in one report."""


class SuccessBatch:
    """Successes of one breaker that are not reported yet; ``newest`` is a monotonic time."""

    __slots__ = ("generation", "newest", "number")

    def __init__(self) -> None:
        self.generation = 0
        self.number = 0
        self.newest = 0.0

    def age(self) -> int:
        """Milliseconds since the newest of them."""
        return max(0, int((time.monotonic() - self.newest) * 1000))


class SuccessBatches:
    """The batches of one process.

    ``accepting`` says whether successes may be batched: in cached mode, while Redis is connected.
    ``waiting`` has the batch of each breaker that has one.
    """

    def __init__(
        self, session: Session, connectivity: Connectivity, interval: float, *, batching: bool
    ) -> None:
        self.accepting = batching
        self.waiting: dict[Key, SuccessBatch] = {}
        self.on_missing: Callable[[Store, Key], Awaitable[object]] = _missing
        self.on_away: Callable[[Key, SuccessBatch], None] = lambda _key, _batch: None
        self._batching = batching
        self._session = session
        self._connectivity = connectivity
        self._interval = interval
        self._reporting: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[RegistryError | None] | None = None
        self._now: asyncio.Event | None = None

    @property
    def pending(self) -> bool:
        """Whether any are waiting, or on their way."""
        return bool(self.waiting) or not _is_over(self._sending)

    @property
    def total(self) -> int:
        """How many successes are waiting, of all breakers."""
        return sum(batch.number for batch in self.waiting.values())

    def begin(self, key: Key) -> SuccessBatch:
        """A new batch of one breaker, reported within the interval."""
        batch = self.waiting[key] = SuccessBatch()
        self.report_soon()
        return batch

    def number(self, key: Key) -> int:
        """How many successes of a breaker are waiting."""
        batch = self.waiting.get(key)
        return batch.number if batch is not None else 0

    def flush_now(self) -> None:
        """Report without waiting for the interval to end."""
        if self._now is not None:
            self._now.set()

    def report_soon(self) -> None:
        """Start the background report, if anything is waiting and none runs."""
        if not self.waiting or not self._session.running():
            return
        task = self._reporting
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            self._now = asyncio.Event()
            self._reporting = self._session.spawn(self._report(self._now))

    def connectivity_changed(self) -> None:
        """Redis has come or gone: accept successes or not, and pass on the waiting ones."""
        self.accepting = self._batching and self._connectivity.connected
        if not self._connectivity.connected:
            waiting, self.waiting = self.waiting, {}
            for key, batch in waiting.items():
                self.on_away(key, batch)

    async def flush(self) -> None:
        """Report everything that is waiting now; it is in Redis when this returns.

        A caller that is cancelled stops waiting; the report goes on.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        if not _is_over(self._sending):
            await _ended(self._sending)
        if self.waiting:
            store = await self._session.store()
            if _is_over(self._sending):
                self._sending = self._session.spawn(self._sent(store))
            await _ended(self._sending)

    async def _sent(self, store: Store) -> RegistryError | None:
        try:
            await self._send(store)
        except RegistryError as error:
            return error
        return None

    async def _report(self, now: asyncio.Event) -> None:
        while self.waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await now.wait()
            now.clear()
            try:
                await self.flush()
            except StoreUnavailableError as error:
                self._connectivity.suspect(error)
                return
            except RegistryError as error:
                _log.error("successes could not be reported: %s", error)

    async def _send(self, store: Store) -> None:
        by_type: dict[str, list[tuple[Key, SuccessBatch]]] = {}
        for key, batch in self.waiting.items():
            by_type.setdefault(key[0], []).append((key, batch))
        for service_type, batches in by_type.items():
            for first in range(0, len(batches), MOST_PER_REPORT):
                # A batch may have gone along with another report since.
                report = [
                    (key, batch)
                    for key, batch in batches[first : first + MOST_PER_REPORT]
                    if self.waiting.get(key) is batch
                ]
                for key, _ in report:
                    del self.waiting[key]
                while report:
                    report = await self._send_report(store, service_type, report)

    async def _send_report(
        self, store: Store, service_type: str, report: Sequence[tuple[Key, SuccessBatch]]
    ) -> list[tuple[Key, SuccessBatch]]:
        """What has to be sent once more: batches whose breaker was missing, and is there now."""
        successes = [
            BatchedSuccesses(key[1], batch.number, batch.age(), batch.generation)
            for key, batch in report
        ]
        try:
            codes = await store.breakers.record_successes(service_type, successes)
            counted = zip(list(report), codes, strict=True)
            report = [item for item, code in counted if code is ReplyCode.MISSING]
            for key, _ in report:
                await self.on_missing(store, key)
        except IndeterminateWriteError as error:
            _log.info("successes of %s may be lost: %s", service_type, error)
            raise
        except StoreUnavailableError:
            for key, batch in report:
                self._put_back(key, batch)
            raise
        return list(report)

    def _put_back(self, key: Key, batch: SuccessBatch) -> None:
        """Not sent: it waits for the next report, or goes to the offline outcomes."""
        if not self._connectivity.connected:
            self.on_away(key, batch)
            return
        later = self.waiting.setdefault(key, batch)
        if later is not batch:
            later.number += batch.number


def _is_over(task: asyncio.Task[RegistryError | None] | None) -> bool:
    """Whether nothing is on its way: what an event loop that ended was sending is lost."""
    return task is None or task.done() or task.get_loop() is not asyncio.get_running_loop()


async def _ended(task: asyncio.Task[RegistryError | None] | None) -> None:
    error = await asyncio.shield(task) if task is not None else None
    if error is not None:
        raise error


async def _missing(_store: Store, key: Key) -> None:
    raise RegistryError(f"there is no breaker of {key[1]}")
