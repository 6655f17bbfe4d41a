"""The subscription to events that a program iterates over."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ciris_registry.store import Event, Session, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity

PROCESSES: Final = ""
"""Stands for a service type: the stream of the processes that join and leave."""

READ_INTERVAL: int = 1000
"""Milliseconds for which one read waits; then service types that are new are looked for."""


class Subscription:
    """An async iterator over events, from the moment at which it was made."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        service_type: str | None,
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._only = service_type
        self._after: dict[str, str] = {}
        self._ready: deque[Event] = deque()
        self._placed = False
        # In order with the writes: the next registration is an event, the last one is not.
        write_queue.put("the beginning of a subscription", self._place)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._session.closed:
                raise StopAsyncIteration
            try:
                store = await self._session.store()
                if not self._placed:
                    await self._write_queue.flush()
                await self._look(store)
            except StoreUnavailableError as error:
                self._connectivity.suspect(error)
                await self._connectivity.wait_connected(READ_INTERVAL / 1000)
        return self._ready.popleft()

    async def _place(self, store: Store) -> None:
        for service_type in await self._types(store):
            self._after[service_type] = await store.events.last(service_type)
        self._placed = True

    async def _types(self, store: Store) -> list[str]:
        if self._only is not None:
            return [self._only]
        return [PROCESSES, *await store.processes.service_types()]

    async def _look(self, store: Store) -> None:
        for service_type in await self._types(store):
            self._after.setdefault(service_type, "0-0")
        if not self._after:
            await asyncio.sleep(READ_INTERVAL / 10_000)
            return
        for event in await store.events.after(self._after, READ_INTERVAL):
            self._after[event.service_type] = event.id
            self._ready.append(event)
