"""The tie between a registry and its event loop: one client, and the tasks that belong to it.

A registry may be used from several loops in turn; each gets a client and tasks of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ciris_registry.errors import ClosedError, ForkedError, StoreUnavailableError
from ciris_registry.store.connection import backoff
from ciris_registry.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store.connection import Clients, Connectivity

_log = logging.getLogger(__name__)

_R = TypeVar("_R")

_inherited: Final[list[object]] = []
"""What forks have copied. It is kept: to collect it would end tasks and connections of the parent,
whenever that is, on what both processes have open."""

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 30.0
_RAN_WELL: Final = 60.0
"""Seconds before a background task that failed is started again, and for which it must have run
to be trusted again."""


class Session:
    """Gives out the store of the running event loop, and owns that loop's background tasks."""

    def __init__(
        self,
        clients: Clients,
        namespace: str,
        process: str,
        settings: RegistrySettings,
        connectivity: Connectivity,
    ) -> None:
        self.process = process
        self.failures: dict[str, str] = {}
        self.sending: set[asyncio.Task[Any]] = set()
        self.on_start: Callable[[Store], Awaitable[None]] | None = None
        self.on_end: Callable[[], Awaitable[None]] | None = None
        self._clients = clients
        self._namespace = namespace
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
        """Where the state lives, without credentials."""
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
        """This is a copy that a fork made: it must not touch what its parent goes on using."""
        self._forked = True
        _inherited.append((self._store, self._loop, self._tasks))
        self._store = self._loop = None
        self._tasks, self.sending = set(), set()
        self._connectivity.disown("this process is a fork")

    def abandon(self) -> bool:
        """Nobody can close it any more: end what runs; whether anything did."""
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
            ForkedError: The registry is another process's.
            EmbeddedUnavailableError: The embedded server cannot be started.
        """
        if self._store is not None and self._loop is asyncio.get_running_loop():
            return self._store
        return await self._start()

    def running(self) -> bool:
        """Whether this is the loop that the session belongs to, and it has been started."""
        try:
            return self._store is not None and self._loop is asyncio.get_running_loop()
        except RuntimeError:
            return False

    def spawn(self, work: Coroutine[Any, Any, _R], *, watched: bool = False) -> asyncio.Task[_R]:
        """Run something in the background, until ``aclose`` or the loop's end.

        If it fails, that is logged, unless it is ``watched``: somebody looks at how it ends.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._looked_at if watched else self._ended)
        return task

    def send(self, work: Coroutine[Any, Any, _R]) -> asyncio.Task[_R]:
        """Start a call of Redis that goes on whether or not its caller waits for its end."""
        task = self.spawn(work, watched=True)
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)
        return task

    async def landed(self) -> None:
        """Wait for the calls that are being sent."""
        loop = asyncio.get_running_loop()
        sending = [task for task in self.sending if task.get_loop() is loop]
        if sending:
            await asyncio.wait(sending)

    async def unless_away(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Have this done, and wait for it as long as Redis answers; if it is away, do without."""
        with contextlib.suppress(StoreUnavailableError):
            self._connectivity.require()
            await self._connectivity.while_answering(self.spawn(work(), watched=True))

    def supervise(
        self, name: str, work: Callable[[], Awaitable[object]], longest: float = _LONGEST_WAIT
    ) -> None:
        """Have this done in the background, begun again whenever it fails.

        The waits before that grow up to about ``longest`` seconds.
        """
        self.spawn(self._supervised(name, work, longest))

    async def revive(self) -> None:
        """Start an embedded server anew if it is gone."""
        await self._clients.revive()

    async def aclose(self) -> None:
        """End the tasks and close the connections."""
        self._closed = True
        if self._forked:
            return
        self._connectivity.close(
            "this registry is closed"
        )  # so that nobody waits for the end of a doubt
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
            # Whatever belonged to the loop before this one ended with it.
            self._tasks.clear()
            self._store = None
            self._loop, self._starting = loop, asyncio.Lock()
        assert self._starting is not None  # noqa: S101  # set together with the loop
        async with self._starting:
            if self._store is None:
                client = await self._clients.client()
                store = Store(
                    client,
                    self._clients,
                    self._namespace,
                    self.process,
                    self._settings,
                    self._connectivity.suspect,
                    self._connectivity.note_reply,
                )
                keeper = self.spawn(self._keep(store))
                try:
                    if self.on_start is not None:
                        await self.on_start(store)
                except BaseException:
                    keeper.cancel()
                    raise
                self._store = store
        return self._store

    async def _keep(self, store: Store) -> None:
        """Close the store when the loop ends, or ``aclose`` is called, whichever is first."""
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:  # and not as garbage, when the loop is closed
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
            except Exception as error:  # whatever it is, the task must go on
                if loop.is_closed():
                    return  # this is its garbage
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # what it failed with on its way to its end
                self.failures[name] = repr(error)
                _log.exception("the %s failed and is started again", name)
            if time.monotonic() - began > _RAN_WELL:
                waits = backoff(_FIRST_WAIT, longest)
            await asyncio.sleep(next(waits))

    def _looked_at(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever was waiting may have gone

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            error = task.exception()
            if error is not None:
                _log.error("a background task of the registry failed", exc_info=error)
