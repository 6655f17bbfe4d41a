"""Waiting until this process can use a provider of each service type: woken, never polling."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from ciris_registry.cache import BLOCK
from ciris_registry.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from ciris_registry.lifecycle import Exchange
    from ciris_registry.membership.bindings import Bindings
    from ciris_registry.parts import Parts
    from ciris_registry.store import Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)


class Readiness:
    """What is missing, and the wait for it."""

    def __init__(self, parts: Parts, bindings: Bindings, views: Views, exchange: Exchange) -> None:
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._write_queue = parts.write_queue
        self._exchange = exchange
        self._bindings = bindings
        self._views = views
        self._wakers: set[asyncio.Event] = set()

    def wake(self) -> None:
        """Something was registered or bound in this process."""
        for waker in self._wakers:
            waker.set()

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """The service types of which nothing is known that this process can use."""
        return [
            one
            for one in wanted
            if not any(map(self._bindings.has, self._views.replica(one).snapshot.registrations))
        ]

    async def reached(self, wanted: Sequence[str], timeout: float) -> bool:
        """Whether nothing is missing after ``timeout`` seconds at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                if self._write_queue.pending and self._connectivity.ok:
                    await self._session.store()
                    await self._session.unless_away(self._exchange.tell)
                if self.missing(wanted):
                    await self.wait(wanted)
        missing = self.missing(wanted)
        if missing:
            _log.warning(
                "not ready after %s s: no provider that this process can use of %s",
                timeout,
                ", ".join(missing),
            )
        return not missing

    async def wait(self, wanted: Sequence[str]) -> None:
        """Return as soon as nothing is missing."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            while True:
                waker.clear()
                try:
                    if await self._watched(wanted, waker):
                        return
                except StoreUnavailableError as error:
                    self._connectivity.doubt(error)
                    if not self.missing(wanted):
                        return
                    await _first(waker.wait(), self._connectivity.back(BLOCK / 1000))
        finally:
            self._wakers.discard(waker)

    async def _watched(self, wanted: Sequence[str], waker: asyncio.Event) -> bool:
        """Whether nothing is missing; if something was registered or bound here, look again."""
        store = await self._session.store()
        # From before the first look, so that nothing can happen between the two.
        after = {one: await store.events.last(one) for one in wanted}
        while True:
            for one in self.missing(wanted):
                await self._views.shared_sync(one).sync(store)
            if not self.missing(wanted):
                return True
            if waker.is_set():
                return False
            await _first(waker.wait(), _next_events(store, after))


async def _next_events(store: Store, after: dict[str, str]) -> None:
    for event in await store.events.after(after, BLOCK):
        after[event.service_type] = event.id


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of them, and end the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        await task
