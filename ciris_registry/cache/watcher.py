"""Keeping the mirrors true: following the event streams as long as Redis is there.

Owns the one task that talks to Redis when nobody else does. In exact mode there is nothing to
follow, and it only looks after the link. It refuses to decide what an event means, and what has to
be done when Redis is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.apply_event import follow
from ciris_registry.cache.reconcile import FIRST_WAIT, LONGEST_WAIT, Reconciler
from ciris_registry.cache.refresh_schedule import REST, RefreshSchedule
from ciris_registry.errors import CorruptStateError, RegistryError, StoreUnavailableError
from ciris_registry.settings import REPLY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ciris_registry.cache.replica import Replica
    from ciris_registry.membership import Heartbeat
    from ciris_registry.parts import Parts
    from ciris_registry.store import Event, EventReader, Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

_SHARE_OF_STALENESS: Final = 0.7
_LATEST_SHARE: Final = 0.8
"""How much of ``max_staleness`` one read of the streams waits, and how much may have passed when
it ends since what is known was true: the next must come in time."""

_LONGEST_BLOCK: Final = REPLY_TIMEOUT - 1
"""Seconds that a read waits at most, however long what it tells counts as fresh."""

_LONGEST_DOUBT: Final = 1.0
"""Seconds that a tail that failed is not there to end a doubt, which nobody else does."""

_WORTH_A_LINE: Final = 3
"""Reads in a row that failed though Redis answered otherwise."""


class Watcher:
    """Follows the streams of every service type that this process looks at."""

    def __init__(self, parts: Parts, views: Views, heartbeat: Heartbeat) -> None:
        self._parts = parts
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._views = views
        self._heartbeat = heartbeat
        staleness = parts.settings.max_staleness
        self._block = min(staleness * _SHARE_OF_STALENESS, _LONGEST_BLOCK)
        self._latest = staleness * _LATEST_SHARE
        self._schedule = RefreshSchedule(parts.connectivity, views, self._block)
        self._reconciler = Reconciler(parts, views, heartbeat, self._schedule)
        self._heard_at = 0.0
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: EventReader | None = None
        self._unread = 0
        self._checked = 0
        self._checked_at = 0.0
        self._connectivity.on_change(self._look_up)
        views.on_new = self._look_up

    async def begin(self, store: Store) -> None:
        """Look for Redis once, in a new event loop, and go on in the background either way."""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._reader = None
        await self._reconciler.begin(store)
        self._session.supervise("tail", lambda: self._run(store), _LONGEST_DOUBT)
        self._session.supervise("heartbeat", lambda: self._heartbeat.run(store, self._connectivity))

    async def _run(self, store: Store) -> None:
        while True:
            if not self._connectivity.ok:
                await self._reconciler.again(store)
            try:
                await self._follow(store)
            except RegistryError as error:
                self._connectivity.doubt(error)
                self._unread += 1
                if self._unread == _WORTH_A_LINE:
                    _log.warning(
                        "Redis answers, but its events cannot be read, so that every resolve has "
                        "to ask; this process tries again: %s",
                        error,
                    )

    # What interrupts a read

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

    # Reading

    async def _follow(self, store: Store) -> None:
        """Read the streams until Redis is away."""
        self._parts.write_queue.resume()
        self._parts.successes.report_soon()
        await self._hold_off()
        self._heard_at = time.monotonic()
        async with store.events.reader() as reader:
            self._reader = reader
            try:
                while self._connectivity.ok:
                    await self._follow_once(store, reader)
            finally:
                if self._reader is reader:  # it may be the garbage of a loop that has ended
                    self._reader = None

    async def _hold_off(self) -> None:
        """Wait before what has failed again and again; whoever resolves may ask meanwhile."""
        if self._unread <= 1:
            return
        wait = min(FIRST_WAIT * 2 ** min(self._unread, 10), LONGEST_WAIT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait * random.uniform(0.5, 1.5)):  # noqa: S311 # no secret
                while self._connectivity.ok:
                    self._news.clear()
                    await self._news.wait()

    async def _follow_once(self, store: Store, reader: EventReader) -> None:
        self._news.clear()
        schedule = self._schedule
        replicas = {} if self._parts.exact else dict(self._views.replicas)
        for kind, replica in replicas.items():
            if schedule.is_due(replica):
                await schedule.promptly(store, kind)
        places = {
            kind: replica.place
            for kind, replica in replicas.items()
            if replica.place and not schedule.is_aside(kind)
        }
        silent = not places or not await self._read(store, reader, replicas, places)
        if not places:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait() if schedule.any_aside else None):
                    await self._news.wait()
        elif silent or time.monotonic() - self._checked_at > self._block:
            await self._check(store, list(replicas.values()), silent=silent)

    def _wait(self) -> float:
        """Seconds until the next service type is due, at most what one read waits."""
        return max(0.001, min(self._block, self._schedule.next_at - time.monotonic()))

    async def _read(
        self,
        store: Store,
        reader: EventReader,
        replicas: Mapping[str, Replica],
        places: Mapping[str, str],
    ) -> bool:
        """One read of the streams; False if they were silent."""
        wait, began = self._wait(), time.monotonic()
        block = max(1, round(min(wait, self._heard_at + self._latest - began) * 1000))
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
        self._take_in(replicas, places, events)
        return bool(events) or wait < self._block

    def _take_in(
        self, replicas: Mapping[str, Replica], places: Iterable[str], events: Iterable[Event]
    ) -> None:
        """What one read has told, and that it was read at all."""
        if self._unread >= _WORTH_A_LINE:
            _log.warning("the events of Redis can be read again")
        self._unread = 0
        self._schedule.followed(places)
        flush_now = self._parts.successes.flush_now
        for kind, news in groupby(events, key=attrgetter("service_type")):
            if not follow(replicas[kind], news, flush_now):
                self._schedule.want(kind)
        for kind in places:
            if not self._schedule.is_wanted(kind):
                replicas[kind].confirm(self._heard_at)

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
                self._schedule.put_aside(kind, damage)
                found = True
        if not found:
            if not isinstance(error, CorruptStateError):
                raise error
            await asyncio.sleep(REST)  # somebody has mended it meanwhile

    async def _check(self, store: Store, replicas: Sequence[Replica], *, silent: bool) -> None:
        """Compare one version, in turn: silence is also what a stream says that was deleted."""
        self._checked += 1
        self._checked_at = time.monotonic()
        replica = replicas[self._checked % len(replicas)]
        version = replica.snapshot.version
        if not self._schedule.is_aside(replica.service_type):
            await self._schedule.promptly(store, replica.service_type)
        if silent and version[1] and replica.snapshot.version != version:
            replica.place = ""  # it was not told: what is told next may have any id
        if version[0] not in {"", replica.snapshot.version[0]}:
            for other in replicas:  # it was lost, and so may be the others
                await self._schedule.promptly(store, other.service_type)
