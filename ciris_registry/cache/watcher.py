"""The watcher: keeps the replicas true by following the event streams while Redis is connected.

It is the background task that reads when no call does. In exact mode there is no stream to follow,
and it only waits for Redis to go away. What an event changes, and what has to be done when Redis is
back, is decided elsewhere.
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

from ciris_registry.cache.apply_event import apply_events
from ciris_registry.cache.refresh_schedule import REST
from ciris_registry.errors import CorruptStateError, RegistryError, StoreUnavailableError
from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection import backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ciris_registry.cache.reconcile import Reconciler
    from ciris_registry.cache.refresh_schedule import RefreshSchedule
    from ciris_registry.cache.replica import Replica, Replicas
    from ciris_registry.store import Event, EventReader, Session, Store
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)

_SHARE_OF_STALENESS: Final = 0.7
"""The share of ``max_staleness`` for which one read of the streams waits."""

_LATEST_SHARE: Final = 0.8
"""The share that may have passed when a read ends: the next must confirm the replica in time."""

_LONGEST_BLOCK: Final = REPLY_TIMEOUT - 1
"""Seconds that a read waits at most, whatever ``max_staleness`` is."""

_UNUSED: Final = 3.0
"""Without a resolve for so many times ``max_staleness``, reads wait as long as they may: events
arrive as soon as ever, and the next resolve asks Redis once."""

_LONGEST_RESTART: Final = 1.0
"""Seconds after which a watcher that failed runs again: only it can end a suspended state."""

_FIRST_WAIT: Final = 0.04
_LONGEST_WAIT: Final = 2.0
"""Seconds between two attempts to read streams that cannot be read."""

_WORTH_A_LINE: Final = 3
"""Reads in a row that failed although Redis answered other commands."""


class Watcher:
    """Follows the streams of every service type that this process looks at.

    ``on_connected`` is called whenever it begins to read: writes that wait may go out.
    ``flush_now`` is called on a streak warning. ``peers`` is the number of processes in the fleet:
    they share the looks for versions that no event has reported.
    """

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        replicas: Replicas,
        schedule: RefreshSchedule,
        reconciler: Reconciler,
        max_staleness: float,
        *,
        follows: bool,
        on_connected: Callable[[], None],
        flush_now: Callable[[], None],
        peers: Callable[[], int],
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._replicas = replicas
        self._schedule = schedule
        self._reconciler = reconciler
        self._follows = follows
        self._on_connected = on_connected
        self._flush_now = flush_now
        self._block = block_of(max_staleness)
        self._latest = max_staleness * _LATEST_SHARE
        self._unused = max_staleness * _UNUSED
        self._heard_at = 0.0
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: EventReader | None = None
        self._unread = 0
        self._waits = backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._peers = peers
        self._checked = 0
        self._checked_at = 0.0
        connectivity.on_change(self._look_up)
        replicas.on_new = self._look_up

    async def begin(self, store: Store) -> None:
        """Try to reach Redis once, in a new event loop, and go on in the background either way."""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._reader = None
        await self._reconciler.begin(store)
        self._session.supervise("watcher", lambda: self._run(store), _LONGEST_RESTART)

    async def _run(self, store: Store) -> None:
        while True:
            if not self._connectivity.connected:
                await self._reconciler.run(store)
            try:
                await self._follow(store)
            except RegistryError as error:
                self._connectivity.suspect(error)
                self._unread += 1
                if self._unread == _WORTH_A_LINE:
                    _log.warning(
                        "Redis answers, but its events cannot be read, so that every resolve has "
                        "to ask; this process tries again: %s",
                        error,
                    )

    # Interrupting a read

    def _look_up(self) -> None:
        """Something changed that the running read knows nothing of.

        The caller may be in another thread, or between two runs of the loop.
        """
        if self._loop is None or self._session.forked:
            return  # a fork shares with its parent what wakes the loop
        with contextlib.suppress(RuntimeError):  # the loop is closed
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
        self._on_connected()
        await self._hold_off()
        self._heard_at = time.monotonic()
        async with store.events.reader() as reader:
            self._reader = reader
            try:
                while self._connectivity.connected:
                    await self._follow_once(store, reader)
            finally:
                if self._reader is reader:  # it may be the garbage of a loop that has ended
                    self._reader = None

    async def _hold_off(self) -> None:
        """Wait before the next read if the last ones failed; resolves may ask in between."""
        if self._unread <= 1:
            self._waits = backoff(_FIRST_WAIT, _LONGEST_WAIT)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(next(self._waits)):
                while self._connectivity.connected:
                    self._news.clear()
                    await self._news.wait()

    async def _follow_once(self, store: Store, reader: EventReader) -> None:
        self._news.clear()
        schedule = self._schedule
        replicas = dict(self._replicas.by_type) if self._follows else {}
        for kind, replica in replicas.items():
            if schedule.take_if_due(replica):
                await schedule.refresh(store, kind)
        places = {
            kind: replica.place
            for kind, replica in replicas.items()
            if replica.place and not schedule.is_aside(kind)
        }
        silent = not places or not await self._read(store, reader, replicas, places)
        if not places:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait(self._block) if schedule.any_aside else None):
                    await self._news.wait()
        elif (silent or time.monotonic() - self._checked_at > self._block) and self._is_our_turn():
            await self._check(store, list(replicas.values()), silent=silent)

    def _is_our_turn(self) -> bool:
        """Whether this process looks at a version now: one of the fleet does, however many read."""
        return random.random() * self._peers() < 1  # noqa: S311 # no secret

    def _wait(self, longest: float) -> float:
        """Seconds until the next service type is due, at most ``longest``."""
        return max(0.001, min(longest, self._schedule.next_at - time.monotonic()))

    async def _read(
        self,
        store: Store,
        reader: EventReader,
        replicas: Mapping[str, Replica],
        places: Mapping[str, str],
    ) -> bool:
        """One read of the streams; False if they were silent."""
        began = time.monotonic()
        if began - max(replicas[one].used_at for one in places) > self._unused:
            longest = confirmed_in = _LONGEST_BLOCK
        else:
            longest, confirmed_in = self._block, self._heard_at + self._latest - began
        wait = self._wait(longest)
        block = max(1, round(min(wait, confirmed_in) * 1000))
        try:
            events = await reader.after(places, block)
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            await self._put_damaged_aside(store, places, error)
            return True
        if events is None:
            return True
        # A silent read confirms up to the end of its wait, one with events up to its beginning:
        # the events may have been here for a while.
        self._heard_at = began if events else min(began + block / 1000, time.monotonic())
        self._apply(replicas, places, events)
        if events:
            # Other registries of this process apply it, too, before any of them reads again.
            await asyncio.sleep(0)
        return bool(events) or wait < longest

    def _apply(
        self, replicas: Mapping[str, Replica], places: Iterable[str], events: Iterable[Event]
    ) -> None:
        """Apply what one read contained, and confirm the replicas that it has made complete."""
        if self._unread >= _WORTH_A_LINE:
            _log.warning("the events of Redis can be read again")
        self._unread = 0
        self._schedule.readable(places)
        for kind, news in groupby(events, key=attrgetter("service_type")):
            if not apply_events(replicas[kind], news, self._flush_now):
                self._schedule.request(kind)
        for kind in places:
            if not self._schedule.is_requested(kind):
                replicas[kind].confirm(self._heard_at)

    async def _put_damaged_aside(
        self, store: Store, kinds: Iterable[str], error: RegistryError
    ) -> None:
        """Put the streams aside that cannot be read; if there is none, the error is another one."""
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
            await asyncio.sleep(REST)  # it has been mended since

    async def _check(self, store: Store, replicas: Sequence[Replica], *, silent: bool) -> None:
        """Compare one version, in turn: a stream that was deleted is silent, too."""
        self._checked += 1
        self._checked_at = time.monotonic()
        replica = replicas[self._checked % len(replicas)]
        version = replica.snapshot.version
        if not self._schedule.is_aside(replica.service_type):
            await self._schedule.refresh(store, replica.service_type)
        if silent and version[1] and replica.snapshot.version != version:
            replica.place = ""  # the stream is another one: its next ids may be any
        if version[0] not in {"", replica.snapshot.version[0]}:
            for other in replicas:  # one service type was lost, and so may be the others
                await self._schedule.refresh(store, other.service_type)


def block_of(max_staleness: float) -> float:
    """Seconds that one read of the streams waits."""
    return min(max_staleness * _SHARE_OF_STALENESS, _LONGEST_BLOCK)
