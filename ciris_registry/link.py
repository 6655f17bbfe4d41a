"""Whether Redis answers, as this process has found it; and how long anybody waits to find out.

The first call that notices waits for ``store_timeout``, later ones not at all. It refuses to mend
anything: the tail tries again in the background, and says here when Redis is back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Literal, TypeVar

from ciris_registry.errors import StoreUnavailableError, UncertainWriteError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ciris_registry.settings import RegistrySettings

_log = logging.getLogger(__name__)

_R = TypeVar("_R")

LinkState = Literal["up", "in doubt", "down"]


class Link:
    """The way to Redis.

    ``up``: it answers. ``in doubt``: somebody waited too long, and it is being asked again; nobody
    waits meanwhile. ``down``: it was asked again, and did not answer.
    """

    def __init__(self, location: str, settings: RegistrySettings) -> None:
        self.state: LinkState = "up"
        self.error = ""
        self.since = time.time()
        self.outages = 0
        self._location = location
        self.timeout = settings.store_timeout
        self._patience = settings.patience
        self._on_change: list[Callable[[], None]] = []
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def ok(self) -> bool:
        """Whether Redis answers, as far as is known."""
        return self.state == "up"

    def on_change(self, told: Callable[[], None]) -> None:
        """Have this called whenever the state changes."""
        self._on_change.append(told)

    def check(self) -> None:
        """Raise StoreUnavailableError if Redis is away."""
        if not self.ok:
            raise StoreUnavailableError(self._location, self.error)

    def doubt(self, error: object) -> None:
        """A call found Redis away, or waited too long for it."""
        if self.state == "up":
            self._become("in doubt", str(error))

    def cut(self, error: object) -> None:
        """There is no way to Redis for this process any more, and nobody looks for one."""
        self._become("down", str(error))

    def lost(self, error: object) -> None:
        """Redis was asked again, and is away: say so once."""
        if self.state != "down":
            self._become("down", str(error))
            self.outages += 1
            _log.warning(
                "Redis is away; this process goes on with what it knows, and tries again: %s",
                error,
                extra={"location": self._location},
            )

    def restored(self) -> None:
        """Redis answers, and this process agrees with it again."""
        before = self.state
        if before == "up":
            return
        self._become("up", "")
        for waiting in self._waiting:
            if not waiting.done():
                waiting.get_loop().call_soon_threadsafe(_release, waiting)
        if before == "down":
            _log.warning("Redis is back", extra={"location": self._location})

    async def promptly(self, work: Coroutine[object, object, _R], limit: float | None = None) -> _R:
        """Wait for ``work`` no longer than ``limit`` seconds, by default ``store_timeout``.

        Raises:
            StoreUnavailableError: Redis is away.
            UncertainWriteError: It has not answered by then, and may have done it, or not.
        """
        if not self.ok:
            work.close()
            self.check()
        seconds = self.timeout if limit is None else limit
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            error = UncertainWriteError(self._location, f"no answer within {seconds:g} s")
            self.doubt(error)
            raise error from None
        except StoreUnavailableError as error:
            self.doubt(error)
            raise

    async def patiently(self, work: Callable[[], Awaitable[_R]]) -> _R:
        """Do it, again whenever Redis is back, for ``settings.patience`` seconds.

        Raises:
            StoreUnavailableError: Redis stayed away for that long.
        """
        end = time.monotonic() + self._patience
        while True:
            try:
                return await work()
            except StoreUnavailableError as error:
                self.doubt(error)
                if not await self.back(end - time.monotonic()):
                    raise

    async def back(self, patience: float) -> bool:
        """Wait until Redis is back, at most ``patience`` seconds; whether it is."""
        if self.ok or patience <= 0:
            return self.ok
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(patience):
                await waiting
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)
        return True

    def _become(self, state: LinkState, error: str) -> None:
        self.state, self.error, self.since = state, error, time.time()
        for told in self._on_change:
            told()


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
