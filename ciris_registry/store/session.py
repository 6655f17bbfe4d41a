"""The session of a registry in an event loop and a partition: one client, the background tasks.

A registry may be used from several loops in turn; each loop gets a client and tasks of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ciris_registry.errors import ClosedError, ForkedError, StoreError
from ciris_registry.store.connection import backoff
from ciris_registry.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store.connection import Clients, Connectivity
    from ciris_registry.store.partitioning import Partitioning

_log = logging.getLogger(__name__)

_R = TypeVar("_R")

_inherited: Final[list[object]] = []
"""The parent's objects in a forked process. They are kept: collecting them would end tasks and
connections of the parent, on sockets that both processes have open."""

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 30.0
_RAN_WELL: Final = 60.0
"""Seconds before a failed background task is restarted, and the run time after which the waits
begin anew."""


class Session:
    """Has the store of the running event loop, and owns that loop's background tasks."""

    def __init__(
        self,
        clients: Clients,
        namespace: str,
        partition: int,
        partitioning: Partitioning,
        process: str,
        settings: RegistrySettings,
        connectivity: Connectivity,
    ) -> None:
        self.process = process
        self.failures: dict[str, str] = {}
        self.sending: set[asyncio.Future[Any]] = set()
        self.on_start: Callable[[Store], Awaitable[None]] | None = None
        self.on_end: Callable[[], Awaitable[None]] | None = None
        self._clients = clients
        self._namespace = namespace
        self._partition = partition
        self._partitioning = partitioning
        self._settings = settings
        self._connectivity = connectivity
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Lock | None = None
        self._store: Store | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._forked = False
        self._made_by = os.getpid()

    @property
    def url(self) -> str:
        """The store URL, without credentials."""
        return self._clients.url.redacted

    @property
    def forked(self) -> bool:
        """Whether this is a copy that a fork made."""
        return self._forked

    @property
    def closed(self) -> bool:
        """Whether ``aclose`` was called."""
        return self._closed

    def check_open(self) -> None:
        """Raise ClosedError if ``aclose`` was called, or ForkedError in a forked copy."""
        if self._forked:
            raise ForkedError(self._made_by)
        if self._closed:
            raise ClosedError("the registry is closed; make a new one")

    def disown(self) -> None:
        """In a forked copy: drop the objects that the parent still uses, without touching them."""
        self._forked = True
        _inherited.append((self._store, self._loop, self._tasks))
        self._store = self._loop = None
        self._tasks, self.sending = set(), set()
        self._connectivity.disown("this process is a fork")

    def abandon(self) -> bool:
        """The registry was collected without ``aclose``: end its tasks; whether any ran."""
        loop = self._loop
        if self._closed or self._forked or self._store is None or loop is None or loop.is_closed():
            return False
        self._closed = True
        for task in list(self._tasks):
            loop.call_soon_threadsafe(task.cancel)
        self._clients.release()
        return True

    async def store(self) -> Store:
        """The store of the running loop, connected to on first use.

        Raises:
            ClosedError: The registry is closed.
            ForkedError: The registry belongs to another process.
            EmbeddedServerError: The embedded server cannot be started.
        """
        if self._store is not None and self._loop is asyncio.get_running_loop():
            return self._store
        return await self._start()

    def running(self) -> bool:
        """Whether the session has been started in the running event loop."""
        try:
            return self._store is not None and self._loop is asyncio.get_running_loop()
        except RuntimeError:
            return False

    def spawn(self, work: Coroutine[Any, Any, _R], *, watched: bool = False) -> asyncio.Task[_R]:
        """Run ``work`` in the background, until ``aclose`` or the loop's end.

        A failure is logged, unless the task is ``watched``: then its owner reads its result.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ignore_result if watched else self._ended)
        return task

    def send(self, work: Coroutine[Any, Any, _R]) -> asyncio.Task[_R]:
        """Start a call of Redis that goes on when its caller stops waiting."""
        task = self.spawn(work, watched=True)
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)
        return task

    def ready_store(self) -> Store | None:
        """The store of the running loop, if what it is given now is sent at once."""
        store = self._store
        if store is None or self._loop is not asyncio.get_running_loop() or not store.ready:
            return None
        return store

    async def landed(self) -> None:
        """Wait for the calls that ``send`` has started, and for the commands that were posted."""
        loop = asyncio.get_running_loop()
        for _ in range(2):  # a task of its own sees to a posted command that failed
            sending = [one for one in self.sending if one.get_loop() is loop]
            if sending:
                await asyncio.wait(sending)

    async def unless_away(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do ``work``, and wait for it as long as Redis answers; do nothing if Redis is away.

        A damaged key ends the work; the watcher and the heartbeat log it.
        """
        with contextlib.suppress(StoreError):
            self._connectivity.require()
            await self._connectivity.while_answering(self.spawn(work(), watched=True))

    def supervise(
        self, name: str, work: Callable[[], Awaitable[object]], longest: float = _LONGEST_WAIT
    ) -> None:
        """Do ``work`` in the background, and restart it when it fails.

        The waits before a restart grow up to about ``longest`` seconds.
        """
        self.spawn(self._supervised(name, work, longest))

    async def revive(self) -> None:
        """Start an embedded server again if it is gone."""
        await self._clients.revive()

    async def aclose(self) -> None:
        """End the tasks and close the connections."""
        self._closed = True
        if self._forked:
            return
        self._connectivity.close("this registry is closed")  # ends all waits for Redis
        if self._loop is asyncio.get_running_loop():
            own = {task for task in self._tasks if task is not asyncio.current_task()}
            for task in own:
                task.cancel()
            await asyncio.gather(*own, return_exceptions=True)
        self._store = None
        self._clients.release()

    async def _start(self) -> Store:
        self.check_open()
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # The tasks and the client of the loop before this one ended with it.
            self._tasks.clear()
            self._store = None
            self._loop, self._starting = loop, asyncio.Lock()
        assert self._starting is not None  # noqa: S101  # set together with the loop
        async with self._starting:
            if self._store is None:
                await self._clients.revive()
                store = Store(
                    self._clients,
                    self._namespace,
                    self.process,
                    self._settings,
                    self._partition,
                    self._partitioning,
                    self._connectivity.suspect,
                    self._connectivity.note_reply,
                    self._connectivity.refusals,
                    self._connectivity.round_trip,
                )
                closing = self.spawn(self._close_at_end(store))
                try:
                    if self.on_start is not None:
                        await self.on_start(store)
                except BaseException:
                    closing.cancel()
                    raise
                self._store = store
        return self._store

    async def _close_at_end(self, store: Store) -> None:
        """Close the store when the loop ends or ``aclose`` is called, whichever comes first."""
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:  # not GeneratorExit: a closed loop cannot close it
            if self._store is store:
                if self.on_end is not None:
                    await self.on_end()
                self._store = None
            await store.aclose()
            raise

    async def _supervised(
        self, name: str, work: Callable[[], Awaitable[object]], longest: float
    ) -> None:
        waits, loop = backoff(_FIRST_WAIT, longest), asyncio.get_running_loop()
        while True:
            began = time.monotonic()
            try:
                await work()
            except Exception as error:  # the task must go on after any error
                if loop.is_closed():
                    return  # collected after the end of its loop
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # an error during its cancellation
                self.failures[name] = repr(error)
                _log.exception("the %s failed and is restarted", name)
            if time.monotonic() - began > _RAN_WELL:
                waits = backoff(_FIRST_WAIT, longest)
            await asyncio.sleep(next(waits))

    def _ignore_result(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as read: the owner may have stopped waiting

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            error = task.exception()
            if error is not None:
                _log.error("a background task of the registry failed", exc_info=error)
