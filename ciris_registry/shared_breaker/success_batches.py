"""Successes of closed breakers, counted here and reported in batches.

A report says how long ago the newest success was, so that a batch never ends a streak that is
younger than it. If the process dies, what it has counted since the last report is lost: at most
``settings.success_report_interval`` seconds of successes, and never a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.errors import IndeterminateWriteError, RegistryError, StoreUnavailableError
from ciris_registry.store import Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ciris_registry.store import Session, Store
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Service type and provider."""

AT_ONCE: Final = 500
"""Breakers in one report."""


class SuccessBatch:
    """Successes of one breaker that were not reported yet."""

    __slots__ = ("generation", "newest", "number")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.number = 0
        self.newest = 0.0

    def age(self) -> int:
        """Milliseconds since the newest of them."""
        return max(0, int((time.monotonic() - self.newest) * 1000))


class SuccessBatches:
    """The successes of one process that were not reported yet."""

    def __init__(self, session: Session, connectivity: Connectivity, every: float) -> None:
        self.on_missing: Callable[[Store, Key], Awaitable[object]] = _unmended
        self.on_away: Callable[[Key, SuccessBatch], None] = lambda _key, _counted: None
        self._session = session
        self._connectivity = connectivity
        self._every = every
        self._counted: dict[Key, SuccessBatch] = {}
        self._reporting: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[RegistryError | None] | None = None
        self._now: asyncio.Event | None = None

    @property
    def pending(self) -> bool:
        """Whether any are waiting, or on their way."""
        return bool(self._counted) or not _is_over(self._sending)

    @property
    def total(self) -> int:
        """How many are waiting, of all breakers."""
        return sum(one.number for one in self._counted.values())

    def count(self, key: Key, generation: int) -> None:
        """One more."""
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = SuccessBatch(generation)
            self.report_soon()
        # The newest of them decide whether they end a streak.
        counted.generation = generation
        counted.number += 1
        counted.newest = time.monotonic()

    def number(self, key: Key) -> int:
        """How many of a breaker are waiting."""
        counted = self._counted.get(key)
        return counted.number if counted is not None else 0

    def take(self, key: Key) -> SuccessBatch | None:
        """Those of one breaker, for a report of its own."""
        return self._counted.pop(key, None)

    def flush_now(self) -> None:
        """Somebody needs to know now: report without waiting."""
        if self._now is not None:
            self._now.set()

    def report_soon(self) -> None:
        """See to it that what is counted is reported."""
        if not self._counted or not self._session.running():
            return
        task = self._reporting
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            self._now = asyncio.Event()
            self._reporting = self._session.spawn(self._report(self._now))

    def rescue(self) -> None:
        """Redis is away: what is counted goes to what was learned meanwhile."""
        counted, self._counted = self._counted, {}
        for key, one in counted.items():
            self.on_away(key, one)

    async def flush(self) -> None:
        """Report everything that is counted now; it is in Redis when this returns.

        Whoever is cancelled here stops waiting, and the report goes on.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        if not _is_over(self._sending):
            await _ended(self._sending)
        if self._counted:
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
        while self._counted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await now.wait()
            now.clear()
            try:
                await self.flush()
            except StoreUnavailableError as error:
                self._connectivity.doubt(error)
                return
            except RegistryError as error:
                _log.error("successes could not be reported: %s", error)

    async def _send(self, store: Store) -> None:
        waiting: dict[str, list[tuple[Key, SuccessBatch]]] = {}
        for key, one in self._counted.items():
            waiting.setdefault(key[0], []).append((key, one))
        for service_type, counted in waiting.items():
            for first in range(0, len(counted), AT_ONCE):
                # What was counted may have gone along with another report meanwhile.
                batch = [
                    (key, one)
                    for key, one in counted[first : first + AT_ONCE]
                    if self._counted.get(key) is one
                ]
                for key, _ in batch:
                    del self._counted[key]
                while batch:
                    batch = await self._send_batch(store, service_type, batch)

    async def _send_batch(
        self, store: Store, service_type: str, batch: Sequence[tuple[Key, SuccessBatch]]
    ) -> list[tuple[Key, SuccessBatch]]:
        """What has to be sent once more: those whose breaker was not there, and is now."""
        tallies = [Tally(key[1], one.number, one.age(), one.generation) for key, one in batch]
        try:
            verdicts = await store.breakers.tally(service_type, tallies)
            counted = zip(list(batch), verdicts, strict=True)
            batch = [item for item, verdict in counted if verdict is ReplyCode.MISSING]
            for key, _ in batch:
                await self.on_missing(store, key)
        except IndeterminateWriteError as error:
            _log.info("successes of %s may be lost: %s", service_type, error)
            raise
        except StoreUnavailableError:
            for key, one in batch:
                self._put_back(key, one)
            raise
        return list(batch)

    def _put_back(self, key: Key, one: SuccessBatch) -> None:
        """Not sent: it waits for the next report, or goes where what is learned now goes."""
        if not self._connectivity.ok:
            self.on_away(key, one)
            return
        later = self._counted.setdefault(key, one)
        if later is not one:
            later.number += one.number


def _is_over(task: asyncio.Task[RegistryError | None] | None) -> bool:
    """Whether nothing is on its way: what a loop that ended was sending is lost."""
    return task is None or task.done() or task.get_loop() is not asyncio.get_running_loop()


async def _ended(task: asyncio.Task[RegistryError | None] | None) -> None:
    error = await asyncio.shield(task) if task is not None else None
    if error is not None:
        raise error


async def _unmended(_store: Store, key: Key) -> None:
    raise RegistryError(f"there is no breaker of {key[1]}")
