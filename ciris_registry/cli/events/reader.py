"""Reads the events of a namespace in order of time: the newest, then new ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry.cache import PROCESSES, READ_INTERVAL
from ciris_registry.errors import CorruptStateError, InvalidNameError
from ciris_registry.names import service_type_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ciris_registry.store import Event, Store, Stores


class EventReader:
    """Reads the events of one service type, or of all, including types that appear later.

    ``damaged`` has the problem of each stream that cannot be read; that stream is left out.
    """

    def __init__(self, stores: Stores, only: str | None) -> None:
        self.damaged: dict[str, str] = {}
        self._stores = stores
        self._only = only
        self._after: dict[Store, dict[str, str]] = {}

    async def last(self, count: int) -> list[Event]:
        """The newest ``count`` events, oldest first; ``follow`` continues after them."""
        found: list[Event] = []
        for store in await self._partitions():
            after = self._after.setdefault(store, {})
            for service_type in await self._types(store):
                try:
                    events = await store.events.latest(service_type, max(count, 1))
                except CorruptStateError as error:
                    self.damaged[service_type] = error.problem
                    continue
                after[service_type] = events[-1].id if events else "0-0"
                found += events
        return _in_time(found)[-count:] if count else []

    async def follow(self) -> AsyncIterator[Event]:
        """Events as they happen, without end; may be called again after an error.

        Raises:
            StoreUnavailableError: Redis is lost; no event is missed if it keeps its data.
        """
        reads: dict[asyncio.Task[list[Event]], Store] = {}
        try:
            while True:
                for store in await self._partitions():
                    if store not in reads.values():
                        reads[asyncio.ensure_future(self._next(store))] = store
                done, _ = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    after = self._after[reads.pop(task)]
                    for event in _in_time(task.result()):
                        after[event.service_type] = event.id
                        yield event
        finally:
            for task in reads:
                task.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    async def _next(self, store: Store) -> list[Event]:
        """The next events of one partition; none if there are none for a while."""
        after = self._after.setdefault(store, {})
        for service_type in await self._types(store):
            after.setdefault(service_type, "0-0")
        if not after:
            await asyncio.sleep(READ_INTERVAL / 1000)
            return []
        return await store.events.after(after, READ_INTERVAL)

    async def _partitions(self) -> list[Store]:
        if self._only is not None:
            return [await self._stores.of(self._only)]
        return await self._stores.all()

    async def _types(self, store: Store) -> list[str]:
        if self._only is not None:
            names = [self._only]
        else:
            names = [one for one in await store.processes.service_types() if _is_type(one)]
            names.append(PROCESSES)
        return [one for one in names if one not in self.damaged]


def _is_type(name: str) -> bool:
    try:
        return service_type_name(name) == name
    except InvalidNameError:
        return False


def _in_time(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.at, _sequence(event.id)))


def _sequence(entry_id: str) -> int:
    tail = entry_id.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else 0
