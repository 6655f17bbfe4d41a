"""Keeping the mirrors true: following the event streams, and coming back after an outage.

Owns the one task that talks to Redis when nobody else does. In exact mode there is nothing to
follow, and it only looks after the link. It refuses to decide what an event means: the mirrors do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from itertools import groupby
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import DamagedStateError, RegistryError, StoreUnavailableError
from ciris_registry.settings import REPLY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from ciris_registry.event_reader import EventReader
    from ciris_registry.events import Event
    from ciris_registry.heartbeat import Heartbeat
    from ciris_registry.meanwhile import Gathered
    from ciris_registry.mirror import Mirror
    from ciris_registry.parts import Parts
    from ciris_registry.store import Store
    from ciris_registry.successes import Counted
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

_SHARE_OF_STALENESS: Final = 0.7
_LATEST_SHARE: Final = 0.8
"""How much of ``max_staleness`` one read of the streams waits, and how much may have passed when
it ends since what is known was true: the next must come in time."""

_LONGEST_BLOCK: Final = REPLY_TIMEOUT - 1
"""Seconds that a read waits at most, however long what it tells counts as fresh."""

_REST: Final = 0.02
_RESTS: Final = 4
_LONGEST_REST: Final = 0.25
"""Seconds between two times that a service type is read whole, and how many times as long as the
last one took: where much is registered at once, all of it is read a few times, not each time."""

_FIRST_CONTACT: Final = 2.0
"""Seconds that a registry that begins waits for Redis, before it goes on by itself."""

_LONGEST_SYNC: Final = 60.0
"""Seconds that reading a service type may take while Redis goes on answering."""

_PING: Final = 1.0
"""Seconds after which Redis counts as away that somebody has waited for in vain already."""

_LONGEST_DOUBT: Final = 1.0
"""Seconds that a tail that failed is not there to end a doubt, which nobody else does."""

_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 2.0
"""Seconds between two attempts to reach Redis again, or to read what it refuses to tell."""

_WORTH_A_LINE: Final = 3
"""Reads in a row that failed though Redis answered otherwise."""


class Tail:
    """Follows the streams of every service type that this process looks at."""

    def __init__(self, parts: Parts, views: Views, heartbeat: Heartbeat) -> None:
        self._parts = parts
        self._session = parts.session
        self._link = parts.link
        self._views = views
        self._heartbeat = heartbeat
        staleness = parts.settings.max_staleness
        self._block = round(min(staleness * _SHARE_OF_STALENESS, _LONGEST_BLOCK) * 1000)
        self._latest = staleness * _LATEST_SHARE
        self._heard_at = 0.0
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: EventReader | None = None
        self._unread = 0
        self._checked = 0
        self._checked_at = 0.0
        self._due: dict[str, float] = {}
        self._rested_at: dict[str, float] = {}
        self._aside: dict[str, float] = {}
        self._damaged: set[str] = set()
        self._link.on_change(self._link_changed)
        parts.successes.on_away = self._learned
        parts.successes.on_missing = self._mend
        views.on_new = self._look_up

    async def begin(self, store: Store) -> None:
        """Look for Redis once, in a new event loop, and go on in the background either way."""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._reader = None
        try:
            async with asyncio.timeout(_FIRST_CONTACT):
                if self._parts.meanwhile:  # of an event loop that ended while Redis was away
                    await store.ping(_PING)
                    await self._offer(store)
                await self._heartbeat.start(store, unwritten=self._parts.outbox.pending)
            self._link.restored()
        except TimeoutError:
            self._link.lost(f"no answer within {_FIRST_CONTACT:g} s")
        except StoreUnavailableError as error:
            self._link.lost(error)
        self._session.supervise("tail", lambda: self._run(store), _LONGEST_DOUBT)
        self._session.supervise("heartbeat", lambda: self._heartbeat.run(store, self._link))

    def _link_changed(self) -> None:
        if not self._link.ok:
            # In the order in which they happened: behind what is counted no failure waits.
            self._parts.outbox.rescue()
            self._parts.successes.rescue()
        self._look_up()

    def _learned(self, key: tuple[str, str], counted: Counted) -> None:
        self._views.breaker_parts.outcomes.learn(self._views.handle(*key), counted)

    async def _mend(self, store: Store, key: tuple[str, str]) -> None:
        await self._views.breaker_parts.writes.mend(self._views.handle(*key), store)

    def _look_up(self) -> None:
        """Something has changed that the running read knows nothing of.

        Whoever says so may be in another thread, or between two runs of the loop.
        """
        if self._loop is None or self._session.forked:
            return  # what wakes the loop is shared with the process that a fork was made of
        with contextlib.suppress(RuntimeError):  # it is closed
            if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 # raises nothing
                self._interrupt()
            else:
                self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        self._news.set()
        if self._reader is not None:
            self._reader.interrupt()

    async def _run(self, store: Store) -> None:
        while True:
            if not self._link.ok:
                await self._come_back(store)
            try:
                await self._follow(store)
            except RegistryError as error:
                self._link.doubt(error)
                self._unread += 1
                if self._unread == _WORTH_A_LINE:
                    _log.warning(
                        "Redis answers, but its events cannot be read, so that every resolve has "
                        "to ask; this process tries again: %s",
                        error,
                    )

    async def _come_back(self, store: Store) -> None:
        """Try to agree with Redis again, at growing, jittered intervals."""
        wait = _FIRST_WAIT
        while True:
            try:
                await self._agree(store)
                self._link.restored()
                await self._offer(store)  # what was learned while it was read anew
            except RegistryError as error:
                self._link.lost(error)
            else:
                return
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 # no secret
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _agree(self, store: Store) -> None:
        """Write what waits, say that this process lives, and read everything anew."""
        await self._session.revive()
        store.doubt()
        await store.ping(_PING)
        await self._offer(store)
        await self._parts.outbox.deliver()
        try:
            await self._heartbeat.return_to(store)
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            _log.warning("the first heartbeat failed: %s", error)  # one damaged service type
        for mirror in list(self._views.mirrors.values()):
            mirror.expire()
            await self._sync(store, mirror, mirror.sync(store))

    async def _offer(self, store: Store) -> None:
        async def merge(key: tuple[str, str], gathered: Gathered) -> None:
            await self._views.breaker_parts.writes.merge(self._views.handle(*key), store, gathered)

        await self._parts.meanwhile.offer(merge)

    async def _follow(self, store: Store) -> None:
        """Read the streams until Redis is away."""
        self._parts.outbox.resume()
        self._parts.successes.report_soon()
        await self._hold_off()
        self._heard_at = time.monotonic()
        async with store.events.reader() as reader:
            self._reader = reader
            try:
                while self._link.ok:
                    await self._follow_once(store, reader)
            finally:
                if self._reader is reader:  # it may be the garbage of a loop that has ended
                    self._reader = None

    async def _hold_off(self) -> None:
        """Wait before what has failed again and again; whoever resolves may ask meanwhile."""
        if self._unread <= 1:
            return
        wait = min(_FIRST_WAIT * 2 ** min(self._unread, 10), _LONGEST_WAIT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait * random.uniform(0.5, 1.5)):  # noqa: S311 # no secret
                while self._link.ok:
                    self._news.clear()
                    await self._news.wait()

    async def _follow_once(self, store: Store, reader: EventReader) -> None:
        self._news.clear()
        mirrors = {} if self._parts.exact else dict(self._views.mirrors)
        for kind, mirror in mirrors.items():
            if self._is_due(kind, mirror):
                await self._sync(store, mirror)
        places = {
            kind: mirror.place
            for kind, mirror in mirrors.items()
            if mirror.place and kind not in self._aside
        }
        silent = not places or not await self._read(store, reader, mirrors, places)
        if not places:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait() / 1000 if self._aside else None):
                    await self._news.wait()
        elif silent or time.monotonic() - self._checked_at > self._block / 1000:
            await self._check(store, list(mirrors.values()), silent=silent)

    def _is_due(self, kind: str, mirror: Mirror) -> bool:
        """Whether a service type has to be read anew now."""
        if kind in self._aside:
            if time.monotonic() < self._aside[kind]:
                return False
            del self._aside[kind]
            return True
        return not mirror.place or time.monotonic() >= self._due.get(kind, math.inf)

    def _wait(self) -> int:
        """Milliseconds until the next service type is due, at most what one read waits."""
        due = min((*self._due.values(), *self._aside.values()), default=math.inf)
        return max(1, round(min(self._block, (due - time.monotonic()) * 1000)))

    async def _read(
        self,
        store: Store,
        reader: EventReader,
        mirrors: dict[str, Mirror],
        places: dict[str, str],
    ) -> bool:
        """One read of the streams; False if they were silent."""
        wait, began = self._wait(), time.monotonic()
        old = self._heard_at + self._latest - began
        block = max(1, min(wait, round(old * 1000)))
        try:
            events = await reader.after(places, block)
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            await self._look_for_damage(store, places, error)
            return True
        if events is None:
            return True
        # Nothing was told up to the end of its wait, else up to when it began; it may have been
        # here for a while.
        self._heard_at = began if events else min(began + block / 1000, time.monotonic())
        self._take_in(mirrors, places, events)
        return bool(events) or wait < self._block

    def _take_in(
        self, mirrors: dict[str, Mirror], places: Iterable[str], events: Iterable[Event]
    ) -> None:
        """What one read has told, and that it was read at all."""
        if self._unread >= _WORTH_A_LINE:
            _log.warning("the events of Redis can be read again")
        self._unread = 0
        self._damaged.difference_update(places)
        for kind, news in groupby(events, key=lambda event: event.service_type):
            if not mirrors[kind].follow(news):
                self._due.setdefault(kind, self._rested_at.get(kind, 0.0))
        for kind in places:
            if kind not in self._due:
                mirrors[kind].confirm(self._heard_at)

    async def _look_for_damage(
        self, store: Store, kinds: Iterable[str], error: RegistryError
    ) -> None:
        """Put the streams aside that cannot be read; if that is not why, it is an ``error``."""
        found = False
        for kind in kinds:
            try:
                await store.events.last(kind)
            except StoreUnavailableError:
                raise
            except RegistryError as damage:
                self._put_aside(kind, damage)
                found = True
        if not found:
            if not isinstance(error, DamagedStateError):
                raise error
            await asyncio.sleep(_REST)  # somebody has mended it meanwhile

    async def _check(self, store: Store, mirrors: Sequence[Mirror], *, silent: bool) -> None:
        """Compare one version, in turn: silence is also what a stream says that was deleted."""
        self._checked += 1
        self._checked_at = time.monotonic()
        mirror = mirrors[self._checked % len(mirrors)]
        version = mirror.snapshot.version
        if mirror.service_type not in self._aside:
            await self._sync(store, mirror)
        if silent and version[1] and mirror.snapshot.version != version:
            mirror.place = ""  # it was not told: what is told next may have any id
        if version[0] not in {"", mirror.snapshot.version[0]}:
            for other in mirrors:  # it was lost, and so may be the others
                await self._sync(store, other)

    async def _sync(
        self, store: Store, mirror: Mirror, work: Coroutine[object, object, object] | None = None
    ) -> None:
        """Read one anew; unless it is to be done in spite of one, a doubt ends that."""
        kind, began = mirror.service_type, time.monotonic()
        try:
            await (work or self._link.promptly(mirror.sync(store), _LONGEST_SYNC))
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            self._put_aside(kind, error)
            return
        self._due.pop(kind, None)
        now = time.monotonic()
        self._rested_at[kind] = now + min(_LONGEST_REST, max(_REST, _RESTS * (now - began)))

    def _put_aside(self, kind: str, error: RegistryError) -> None:
        """Leave a service type alone for a moment, so that the others are followed."""
        self._due.pop(kind, None)
        self._aside[kind] = time.monotonic() + self._block / 1000
        if kind not in self._damaged:
            self._damaged.add(kind)
            _log.warning("service type %s cannot be followed: %s", kind, error)
