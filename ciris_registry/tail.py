"""Keeping the mirrors true: following the event streams, and coming back after an outage.

Owns the one task that talks to Redis when nobody else does. In exact mode there is nothing to
follow, and it only looks after the link. It refuses to decide what an event means: the mirrors do.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from ciris_registry.heartbeat import Heartbeat
    from ciris_registry.meanwhile import Gathered
    from ciris_registry.mirror import Mirror
    from ciris_registry.parts import Parts
    from ciris_registry.store import Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

_SHARE_OF_STALENESS: Final = 0.7
"""How much of ``max_staleness`` one read of the streams waits: the next must come in time."""

_PING: Final = 1.0
"""Seconds after which Redis counts as away that somebody has waited for in vain already."""

_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 2.0
"""Seconds between two attempts to reach Redis again."""


class Tail:
    """Follows the streams of every service type that this process looks at."""

    def __init__(self, parts: Parts, views: Views, heartbeat: Heartbeat) -> None:
        self._parts = parts
        self._session = parts.session
        self._link = parts.link
        self._views = views
        self._heartbeat = heartbeat
        self._block = round(parts.settings.max_staleness * _SHARE_OF_STALENESS * 1000)
        self._news: asyncio.Event | None = None
        self._checked = 0
        self._link.on_change(self._look_up)
        views.on_new = self._look_up

    async def begin(self, store: Store) -> None:
        """Look for Redis once, in a new event loop, and go on in the background either way."""
        self._news = asyncio.Event()
        try:
            await self._heartbeat.start(store, unwritten=self._parts.outbox.pending)
            self._link.restored()
        except StoreUnavailableError as error:
            self._link.lost(error)
        self._session.supervise("tail", lambda: self._run(store))
        self._session.supervise("heartbeat", lambda: self._heartbeat.run(store, self._link))

    def _look_up(self) -> None:
        """Something has changed that the running read knows nothing of."""
        if self._news is not None:
            self._news.set()

    async def _run(self, store: Store) -> None:
        while True:
            if not self._link.ok:
                await self._come_back(store)
            try:
                await self._follow(store)
            except StoreUnavailableError as error:
                self._link.doubt(error)

    async def _come_back(self, store: Store) -> None:
        """Try to agree with Redis again, at growing, jittered intervals."""
        wait = _FIRST_WAIT
        while True:
            try:
                await self._agree(store)
                self._link.restored()
                await self._offer(store)  # what was learned while it was read anew
            except StoreUnavailableError as error:
                self._link.lost(error)
            else:
                return
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 # no secret
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _agree(self, store: Store) -> None:
        """Offer what was learned, say that this process lives, and read everything anew."""
        await self._session.revive()
        await store.ping(_PING)
        await self._offer(store)
        await self._heartbeat.return_to(store)
        for mirror in list(self._views.mirrors.values()):
            mirror.expire()
            await self._sync(store, mirror)

    async def _offer(self, store: Store) -> None:
        async def merge(key: tuple[str, str], gathered: Gathered) -> None:
            await self._views.handle(*key).merge(store, gathered)

        await self._parts.meanwhile.offer(merge)

    async def _follow(self, store: Store) -> None:
        """Read the streams until Redis is away."""
        assert self._news is not None  # noqa: S101 # set when the loop began
        self._parts.outbox.resume()
        self._parts.successes.report_soon()
        while self._link.ok:
            self._news.clear()
            mirrors = {} if self._parts.exact else dict(self._views.mirrors)
            for mirror in mirrors.values():
                if not mirror.place:
                    await self._sync(store, mirror)
            places = {kind: mirror.place for kind, mirror in mirrors.items() if mirror.place}
            if not places:
                await self._news.wait()
            elif not await self._read(store, mirrors, places, self._news):
                await self._check(store, list(mirrors.values()))

    async def _read(
        self,
        store: Store,
        mirrors: dict[str, Mirror],
        places: dict[str, str],
        news: asyncio.Event,
    ) -> bool:
        """One read of the streams; False if they were silent."""
        reading = asyncio.ensure_future(store.events_after(places, self._block))
        noticing = asyncio.ensure_future(news.wait())
        try:
            await asyncio.wait({reading, noticing}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return True
            events = await reading
        finally:
            for task in (reading, noticing):
                task.cancel()
            await asyncio.gather(reading, noticing, return_exceptions=True)
        for kind in {event.service_type for event in events}:
            if not mirrors[kind].follow(one for one in events if one.service_type == kind):
                await self._sync(store, mirrors[kind])
        for kind in places:
            mirrors[kind].confirm()
        return bool(events)

    async def _check(self, store: Store, mirrors: list[Mirror]) -> None:
        """Compare one version, in turn: silence is also what a stream says that was deleted."""
        self._checked += 1
        await self._sync(store, mirrors[self._checked % len(mirrors)])

    async def _sync(self, store: Store, mirror: Mirror) -> None:
        try:
            await mirror.sync(store)
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            _log.warning("service type %s cannot be followed: %s", mirror.service_type, error)
            await asyncio.sleep(self._block / 1000)
