"""Work that may hang, in a thread of its own: never in those of the program's default executor.

A name server or a secret store that does not answer holds one thread for each question, however
often it is asked.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_R = TypeVar("_R")

_MOST: Final = 32
"""Threads at once in one process."""


class OwnThreads:
    """Does each piece of work once at a time, by its key; callers that ask during it share it."""

    def __init__(self) -> None:
        self._running: dict[Hashable, Future[object]] = {}

    async def run(self, key: Hashable, work: Callable[[], _R]) -> _R:
        """The result of ``work``; the caller limits its own wait, and the work goes on.

        Raises:
            OSError: Too much work hangs already.
        """
        # A fork has none of its parent's threads. No lock: it could be held when a process forks.
        own = (os.getpid(), key)
        running = self._running.get(own) or self._begin(own, work)
        # Work that runs cannot be cancelled: a caller that stops waiting takes nothing from others.
        return await asyncio.wrap_future(running)  # type: ignore[arg-type]

    def _begin(self, key: Hashable, work: Callable[[], object]) -> Future[object]:
        if len(self._running) >= _MOST:
            raise OSError(f"{_MOST} lookups of names or passwords hang")
        result = self._running[key] = Future[object]()
        result.set_running_or_notify_cancel()

        def run() -> None:
            try:
                found = work()
            except BaseException as error:  # noqa: BLE001 # the one who asked gets it
                self._running.pop(key, None)
                result.set_exception(error)
            else:
                self._running.pop(key, None)
                result.set_result(found)

        threading.Thread(target=run, name="ciris-registry lookup", daemon=True).start()
        return result
