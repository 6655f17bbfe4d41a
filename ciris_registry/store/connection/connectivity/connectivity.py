"""The connectivity of this process: whether Redis answers, and how long a call waits to find out.

The first call that gets no answer waits for ``store_timeout``; later calls do not wait. Does not
reconnect: the reconciler does that in the background, and reports here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from ciris_registry.errors import (
    AccessDeniedError,
    IndeterminateWriteError,
    StoreError,
    StoreUnavailableError,
)
from ciris_registry.store.connection.connectivity.refusals import FORGOTTEN, Refusals
from ciris_registry.store.connection.connectivity.round_trip import RoundTrip
from ciris_registry.timeouts import TimeLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ciris_registry.settings import RegistrySettings

_log = logging.getLogger(__name__)

_R = TypeVar("_R")

_LAST_TURNS: Final = 10
"""Turns of the event loop in which replies that have arrived are read, after a timeout."""

_FIRST: Final = asyncio.FIRST_COMPLETED


class ConnectivityState(StrEnum):
    """Whether Redis answers this process; each member equals its text."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"
    LOST = "lost"


class Connectivity:
    """The connectivity of one process.

    ``connected``: Redis answers. ``suspended``: a call got no answer in time, and the reconciler
    asks again; other calls do not wait. ``lost``: the reconciler got no answer either. When Redis
    answers it again, the process is ``suspended`` until all is reconciled.

    ``connected`` is also an attribute, since every call reads it. ``error`` says why Redis is not
    connected, ``since`` is the time of day at which the state began. ``outages`` counts losses; one
    outage ends when Redis is connected again, and has carried out the commands that it refused.
    """

    def __init__(self, url: str, settings: RegistrySettings) -> None:
        self.state: ConnectivityState = ConnectivityState.CONNECTED
        self.connected = True
        self.error = ""
        self.since = time.time()
        self.outages = 0
        self._url = url
        self._write_timeout = settings.write_timeout
        self._on_change: list[Callable[[], None]] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._limits = TimeLimits(_LAST_TURNS)
        self.replied_at = self._lost_at = 0.0  # monotonic times
        self._denied = False
        self._extra = {"url": url}
        self.refusals = Refusals(self._nothing_refused)
        self.round_trip = RoundTrip(url, settings)

    @property
    def timeout(self) -> float:
        """Seconds that a call waits for Redis: ``store_timeout``, longer if Redis is far away."""
        return self.round_trip.wait

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after each change of the state."""
        self._on_change.append(callback)

    def require(self) -> None:
        """Raise StoreUnavailableError if Redis is away."""
        if not self.connected:
            raise StoreUnavailableError(self._url, self.error)

    def note_reply(self) -> None:
        """Redis has answered a command."""
        self.replied_at = time.monotonic()

    def suspect(self, error: object) -> None:
        """A call found Redis away, or got no answer in time: suspended, if it was connected."""
        if self.state == ConnectivityState.CONNECTED:
            self._become(ConnectivityState.SUSPENDED, _reason(error))

    def close(self, error: object) -> None:
        """This process stops using Redis, and nothing reconnects: lost for good."""
        self._lost_at = 0.0
        self._become(ConnectivityState.LOST, str(error))

    def disown(self, error: object) -> None:
        """In a forked copy: lost for good, without waking the calls that wait in the parent."""
        self._waiting, self._limits = set(), TimeLimits(_LAST_TURNS)
        self.close(error)

    def mark_lost(self, error: object) -> None:
        """The reconciler got no answer, or could not reconcile; log that once an outage."""
        lost = self.state == ConnectivityState.LOST
        begins = not lost and not self._lost_at
        if isinstance(error, AccessDeniedError) and not self._denied:
            self._denied = True
            _log.error("Redis denies access to this process: %s", error, extra=self._extra)
            self.error = _reason(error)
        elif begins:
            _log.warning(
                "Redis is away; this process works on its last snapshot and reconnects: %s: %s",
                self._url,
                _reason(error),
                extra=self._extra,
            )
        if not lost:
            self._become(ConnectivityState.LOST, _reason(error))
        if begins:
            self.outages += 1
            self._lost_at = time.monotonic()

    def mark_answering(self) -> None:
        """Redis answers the reconciler after a loss: suspended until all is reconciled."""
        if self._lost_at and self.state == ConnectivityState.LOST:
            self._become(ConnectivityState.SUSPENDED, self.error)

    def mark_connected(self) -> None:
        """Redis answers, and the reconciler has brought this process into agreement with it."""
        if self.connected:
            return
        refused = self.refusals.newest
        self._become(ConnectivityState.CONNECTED, _reason(refused) if refused else "")
        if refused is None:
            self._end_outage()
        else:
            # Steps of reconciling have not used what was refused: the next call that does shows.
            asyncio.get_running_loop().call_later(FORGOTTEN, self.refusals.forget_old)

    def _nothing_refused(self) -> None:
        if self.connected:
            self.error = ""
            self._end_outage()

    def _end_outage(self) -> None:
        self._denied = False
        if self._lost_at:
            seconds, self._lost_at = time.monotonic() - self._lost_at, 0.0
            _log.warning("Redis is back after %.1f s: %s", seconds, self._url, extra=self._extra)

    async def within_timeout(
        self, work: Coroutine[object, object, _R], limit: float | None = None
    ) -> _R:
        """Wait for ``work`` for at most ``limit`` seconds, by default ``timeout``.

        The wait ends at once when another call finds Redis away. If Redis has answered a command in
        that time, it is not away, though this call is late.

        Raises:
            StoreUnavailableError: Redis is away.
            IndeterminateWriteError: It has not answered by then; a write may have been made.
        """
        if not self.connected:
            work.close()
            self.require()
        seconds, began = self.timeout if limit is None else limit, time.monotonic()
        try:
            with self._limits.limit(seconds):
                return await work
        except TimeoutError:
            problem = f"no answer within {seconds:g} s" if self.connected else self.error
            error = IndeterminateWriteError(self._url, problem)
            if self.replied_at < began:
                self.suspect(error)
            raise error from None
        except StoreUnavailableError as error:
            self.suspect(error)
            raise

    async def while_answering(self, task: asyncio.Future[_R]) -> _R:
        """Wait for ``task`` as long as Redis answers any command; the task itself goes on.

        On a busy machine, many calls at once take longer than ``store_timeout`` though Redis
        answers.

        Raises:
            StoreUnavailableError: Redis is away.
            IndeterminateWriteError: It has answered no command for ``timeout`` seconds.
        """
        began, turns = time.monotonic(), _LAST_TURNS
        while not task.done():
            self.require()
            seconds = self.timeout
            left = max(began, self.replied_at) + seconds - time.monotonic()
            turns = turns - 1 if left <= 0 else _LAST_TURNS
            if left <= 0 and turns:
                await asyncio.sleep(0)
                continue
            if left <= 0:
                error = IndeterminateWriteError(self._url, f"no answer for {seconds:g} s")
                self.suspect(error)
                raise error
            changed = asyncio.get_running_loop().create_future()
            self._waiting.add(changed)
            try:
                await asyncio.wait({task, changed}, timeout=left, return_when=_FIRST)
            finally:
                self._waiting.discard(changed)
        try:
            return task.result()
        except StoreUnavailableError as error:
            self.suspect(error)
            raise

    async def retrying(self, work: Callable[[], Awaitable[_R]]) -> _R:
        """Do ``work``, and repeat it when Redis is back, for ``settings.write_timeout`` seconds.

        Raises:
            StoreUnavailableError: Redis was away for that long.
        """
        end = time.monotonic() + self._write_timeout
        while True:
            try:
                return await work()
            except StoreUnavailableError as error:
                self.suspect(error)
                if not await self.wait_connected(end - time.monotonic()):
                    raise

    async def wait_connected(self, seconds: float) -> bool:
        """Wait until Redis is connected, for at most so many seconds; whether it is."""
        await self._while({ConnectivityState.SUSPENDED, ConnectivityState.LOST}, seconds)
        return self.connected

    async def wait_settled(self, seconds: float) -> bool:
        """Wait until connected or lost, for at most so many seconds; whether it is connected."""
        await self._while({ConnectivityState.SUSPENDED}, seconds)
        return self.connected

    async def _while(self, states: set[ConnectivityState], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0, seconds)):
                while self.state in states:
                    changed = asyncio.get_running_loop().create_future()
                    self._waiting.add(changed)
                    try:
                        await changed
                    finally:
                        self._waiting.discard(changed)

    def _become(self, state: ConnectivityState, error: str) -> None:
        self.state, self.error, self.since = state, error, time.time()
        self.connected = state == ConnectivityState.CONNECTED
        for waiting in list(self._waiting):
            if waiting.get_loop().is_closed():
                self._waiting.discard(waiting)
            elif not waiting.done():
                waiting.get_loop().call_soon_threadsafe(_release, waiting)
        if state != ConnectivityState.CONNECTED:
            self._limits.expire()  # no other call waits to find out the same
        for callback in self._on_change:
            callback()


def _reason(error: object) -> str:
    """The text of an error without the URL, which stands beside it."""
    return error.problem if isinstance(error, StoreError) else str(error)


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
