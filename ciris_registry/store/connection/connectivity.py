"""Whether Redis answers, as this process has found it; and how long anybody waits to find out.

The first call that notices waits for ``store_timeout``, later ones not at all. It refuses to mend
anything: the comeback tries again in the background, and says here when Redis is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from ciris_registry.errors import (
    AccessDeniedError,
    IndeterminateWriteError,
    StoreError,
    StoreUnavailableError,
)
from ciris_registry.timeouts import TimeLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ciris_registry.settings import RegistrySettings

_log = logging.getLogger(__name__)

_R = TypeVar("_R")

_LAST_TURNS: Final = 10
"""Turns of the event loop in which what has arrived is read, before a wait counts as in vain."""

_FIRST: Final = asyncio.FIRST_COMPLETED

ConnectivityState = Literal["connected", "suspended", "lost"]


class Connectivity:
    """The way to Redis.

    ``up``: it answers. ``in doubt``: somebody waited too long, and it is being asked again; nobody
    waits meanwhile. ``down``: it was asked again, and did not answer.
    """

    def __init__(self, url: str, settings: RegistrySettings) -> None:
        self.state: ConnectivityState = "connected"
        self.connected = True
        self.error = ""
        self.since = time.time()
        self.outages = 0
        self._url = url
        self.timeout = settings.store_timeout
        self._write_timeout = settings.write_timeout
        self._on_change: list[Callable[[], None]] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._limits = TimeLimits(_LAST_TURNS)
        self._heard_at = self._away_since = 0.0
        self._refused = False
        self._extra = {"url": url}

    def on_change(self, told: Callable[[], None]) -> None:
        """Have this called whenever the state changes."""
        self._on_change.append(told)

    def require(self) -> None:
        """Raise StoreUnavailableError if Redis is away."""
        if not self.connected:
            raise StoreUnavailableError(self._url, self.error)

    def note_reply(self) -> None:
        """Redis has answered something."""
        self._heard_at = time.monotonic()

    def suspect(self, error: object) -> None:
        """A call found Redis away, or waited too long for it."""
        if self.state == "connected":
            self._become("suspended", _reason(error))

    def close(self, error: object) -> None:
        """There is no way to Redis for this process any more, and nobody looks for one."""
        self._become("lost", str(error))

    def disown(self, error: object) -> None:
        """This is a copy that a fork made: those who wait are its parent's, not to be woken."""
        self._waiting, self._limits = set(), TimeLimits(_LAST_TURNS)
        self.close(error)

    def mark_lost(self, error: object) -> None:
        """Redis was asked again, and is away: say so once."""
        if isinstance(error, AccessDeniedError) and not self._refused:
            self._refused = True
            _log.error("Redis does not let this process in: %s", error, extra=self._extra)
            self.error = _reason(error)
        elif self.state != "lost":
            _log.warning(
                "Redis is away; this process goes on with what it knows, and tries again: %s: %s",
                self._url,
                _reason(error),
                extra=self._extra,
            )
        if self.state != "lost":
            self._become("lost", _reason(error))
            self.outages += 1
            self._away_since = time.monotonic()

    def mark_connected(self) -> None:
        """Redis answers, and this process agrees with it again."""
        before = self.state
        if before == "connected":
            return
        self._become("connected", "")
        self._refused = False
        if before == "lost":
            away = time.monotonic() - self._away_since
            _log.warning("Redis is back after %.1f s: %s", away, self._url, extra=self._extra)

    async def within_timeout(
        self, work: Coroutine[object, object, _R], limit: float | None = None
    ) -> _R:
        """Wait for ``work`` no longer than ``limit`` seconds, by default ``store_timeout``.

        Nor any longer when somebody else has found Redis away meanwhile.

        Raises:
            StoreUnavailableError: Redis is away.
            UncertainWriteError: It has not answered by then, and may have done it, or not.
        """
        if not self.connected:
            work.close()
            self.require()
        seconds = self.timeout if limit is None else limit
        try:
            with self._limits.limit(seconds):
                return await work
        except TimeoutError:
            problem = f"no answer within {seconds:g} s" if self.connected else self.error
            error = IndeterminateWriteError(self._url, problem)
            self.suspect(error)
            raise error from None
        except StoreUnavailableError as error:
            self.suspect(error)
            raise

    async def while_answering(self, task: asyncio.Future[_R]) -> _R:
        """Wait for ``task`` as long as Redis answers anybody; it goes on if that is no longer so.

        Much that is asked at once, on a busy machine, takes its time though Redis is there.

        Raises:
            StoreUnavailableError: Redis is away.
            UncertainWriteError: It has answered nobody for ``store_timeout`` seconds.
        """
        began, turns = time.monotonic(), _LAST_TURNS
        while not task.done():
            self.require()
            left = max(began, self._heard_at) + self.timeout - time.monotonic()
            turns = turns - 1 if left <= 0 else _LAST_TURNS
            if left <= 0 and turns:
                await asyncio.sleep(0)
                continue
            if left <= 0:
                error = IndeterminateWriteError(self._url, f"no answer for {self.timeout:g} s")
                self.suspect(error)
                raise error
            changed = asyncio.get_running_loop().create_future()
            self._waiting.add(changed)
            try:
                await asyncio.wait({task, changed}, timeout=left, return_when=_FIRST)
            finally:
                self._waiting.discard(changed)
        return task.result()

    async def retrying(self, work: Callable[[], Awaitable[_R]]) -> _R:
        """Do it, again whenever Redis is back, for ``settings.write_timeout`` seconds.

        Raises:
            StoreUnavailableError: Redis stayed away for that long.
        """
        end = time.monotonic() + self._write_timeout
        while True:
            try:
                return await work()
            except StoreUnavailableError as error:
                self.suspect(error)
                if not await self.wait_connected(end - time.monotonic()):
                    raise

    async def wait_connected(self, write_timeout: float) -> bool:
        """Wait until Redis is back, at most ``write_timeout`` seconds; whether it is."""
        await self._while({"suspended", "lost"}, write_timeout)
        return self.connected

    async def wait_settled(self, write_timeout: float) -> bool:
        """Wait until Redis has answered or is lost, for so many seconds; whether it answers."""
        await self._while({"suspended"}, write_timeout)
        return self.connected

    async def _while(self, states: set[ConnectivityState], write_timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0, write_timeout)):
                while self.state in states:
                    changed = asyncio.get_running_loop().create_future()
                    self._waiting.add(changed)
                    try:
                        await changed
                    finally:
                        self._waiting.discard(changed)

    def _become(self, state: ConnectivityState, error: str) -> None:
        self.state, self.error, self.since = state, error, time.time()
        self.connected = state == "connected"
        for waiting in list(self._waiting):
            if waiting.get_loop().is_closed():
                self._waiting.discard(waiting)
            elif not waiting.done():
                waiting.get_loop().call_soon_threadsafe(_release, waiting)
        if state != "connected":
            self._limits.expire()  # nobody needs to find out for himself
        for told in self._on_change:
            told()


def _reason(error: object) -> str:
    """Without where it happened, which is told beside it."""
    return error.problem if isinstance(error, StoreError) else str(error)


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
