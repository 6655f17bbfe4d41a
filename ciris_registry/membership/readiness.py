"""Waiting until this process can use a provider of each service type: by events, not polling."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from ciris_registry.cache import READ_INTERVAL
from ciris_registry.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from ciris_registry.cache import Replicas, SingleFlights
    from ciris_registry.membership.bindings import Bindings
    from ciris_registry.store import Session, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)


class Readiness:
    """Finds missing service types and waits for them; ``flush`` writes pending registrations."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        bindings: Bindings,
        replicas: Replicas,
        single_flights: SingleFlights,
        flush: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._bindings = bindings
        self._replicas = replicas
        self._single_flights = single_flights
        self._flush = flush
        self._wakers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def wake(self) -> None:
        """Wake all waits: this process registered or bound a provider, in any thread."""
        for waker, loop in list(self._wakers.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(waker.set)

    def missing(self, required: Iterable[str]) -> list[str]:
        """The service types of which the replica has no provider with a binding here."""
        return [
            one
            for one in required
            if not any(map(self._bindings.has, self._replicas.of(one).snapshot.registrations))
        ]

    async def reached(self, required: Sequence[str], left: float, timeout: float) -> bool:
        """Wait for the ``left`` seconds of a ``timeout``; whether nothing is missing then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                if self._write_queue.pending and self._connectivity.connected:
                    await self._session.store()
                    await self._session.unless_away(self._flush)
                if self.missing(required):
                    await self.wait(required)
        missing = self.missing(required)
        if missing:
            _log.warning(
                "not ready after %s s: this process can use no provider of %s",
                timeout,
                ", ".join(missing),
            )
        return not missing

    async def wait(self, required: Sequence[str]) -> None:
        """Wait until nothing is missing."""
        waker = asyncio.Event()
        self._wakers[waker] = asyncio.get_running_loop()
        try:
            while True:
                waker.clear()
                try:
                    if await self._watched(required, waker):
                        return
                    continue
                except StoreUnavailableError as error:
                    self._connectivity.suspect(error)
                    again = self._connectivity.wait_connected(READ_INTERVAL / 1000)
                except StoreError:  # a key is damaged
                    again = asyncio.sleep(READ_INTERVAL / 1000, result=False)
                if not self.missing(required):
                    again.close()
                    return
                await _first(waker.wait(), again)
        finally:
            del self._wakers[waker]

    async def _watched(self, required: Sequence[str], waker: asyncio.Event) -> bool:
        """Wait until nothing is missing; False if this process registered or bound a provider."""
        store = await self._session.store()
        # Taken before the first look, so that no event between the two is missed.
        after = {one: await store.events.last(one) for one in required}
        while True:
            for one in self.missing(required):
                await self._single_flights.of(one).run(store)
            if not self.missing(required):
                return True
            if waker.is_set():
                return False
            await _first(waker.wait(), _next_events(store, after))


async def _next_events(store: Store, after: dict[str, str]) -> None:
    for event in await store.events.after(after, READ_INTERVAL):
        after[event.service_type] = event.id


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Wait for the first to end, and cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        await task
