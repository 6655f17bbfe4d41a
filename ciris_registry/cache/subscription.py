"""The subscription to events that a program iterates over."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from ciris_registry.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ciris_registry.store import Event, Session, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity

PROCESSES: Final = ""
"""Stands for a service type: the stream of the processes that join and leave."""

READ_INTERVAL: int = 1000
"""Milliseconds for which one read waits; then service types that are new are looked for."""


class EventSource(Protocol):
    """A partition, as a subscription reads it."""

    session: Session
    connectivity: Connectivity
    write_queue: WriteQueue


class Subscription:
    """An async iterator over events, from the moment at which it was made.

    ``sources`` returns the partitions to read, each of them always the same object.
    """

    def __init__(
        self, sources: Callable[[], Sequence[EventSource]], service_type: str | None
    ) -> None:
        self._sources = sources
        self._only = service_type
        self._ready: deque[Event] = deque()
        self._readings = {one: _Reading(one, service_type) for one in sources()}
        for one in self._readings.values():
            one.begin_here()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            readings = self._current()
            if any(one.closed for one in readings):
                raise StopAsyncIteration
            if len(readings) == 1:
                self._ready.extend(await readings[0].look())
            else:
                await self._look_in_all(readings)
        return self._ready.popleft()

    def _current(self) -> list[_Reading]:
        """The readings of the partitions that there are now: their number may have changed."""
        for one in self._sources():
            if one not in self._readings:
                self._readings[one] = _Reading(one, self._only)
        return list(self._readings.values())

    async def _look_in_all(self, readings: Sequence[_Reading]) -> None:
        """Wait for the first partition with events; a read that is given up is repeated."""
        tasks = [asyncio.ensure_future(one.look()) for one in readings]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            self._ready.extend(task.result())


class _Reading:
    """How far the events of one partition have been read."""

    def __init__(self, source: EventSource, service_type: str | None) -> None:
        self._source = source
        self._only = service_type
        self._after: dict[str, str] = {}
        self._placed = True

    def begin_here(self) -> None:
        """Begin with the events from now on; else with all that there are."""
        self._placed = False
        # In order with the writes: the next registration is an event, the last one is not.
        self._source.write_queue.put("the beginning of a subscription", self._place)

    @property
    def closed(self) -> bool:
        """Whether the registry is closed."""
        return self._source.session.closed

    async def look(self) -> list[Event]:
        """The next events; none if there were none for a while, or Redis is away."""
        connectivity = self._source.connectivity
        try:
            store = await self._source.session.store()
            if not self._placed:
                await self._source.write_queue.flush()
            return await self._read(store)
        except StoreUnavailableError as error:
            connectivity.suspect(error)
            await connectivity.wait_connected(READ_INTERVAL / 1000)
            return []

    async def _place(self, store: Store) -> None:
        for service_type in await self._types(store):
            self._after[service_type] = await store.events.last(service_type)
        self._placed = True

    async def _types(self, store: Store) -> list[str]:
        if self._only is not None:
            return [self._only]
        return [PROCESSES, *await store.processes.service_types()]

    async def _read(self, store: Store) -> list[Event]:
        for service_type in await self._types(store):
            self._after.setdefault(service_type, "0-0")
        events = await store.events.after(self._after, READ_INTERVAL)
        for event in events:
            self._after[event.service_type] = event.id
        return events
