"""One connection that many calls share, opened again after it has broken.

Owns which connection is used. Calls that wait for a new one share one attempt to open it. Does
not retry, and does not decide what a failure means.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.open_connection import open_connection
from ciris_registry.store.connection.pipelined import WaitInterruptedError

if TYPE_CHECKING:
    from ciris_registry.store.connection.fake import FakeConnection
    from ciris_registry.store.connection.pipelined import PipelinedConnection
    from ciris_registry.store.connection.routing import Route


class ReconnectingConnection:
    """Belongs to one event loop. ``aclose`` closes all connections that it has opened."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self.open: PipelinedConnection | FakeConnection | None = None
        """The connection in use. A caller that finds it unbroken may send on it directly."""
        self._retired: list[PipelinedConnection | FakeConnection] = []
        self._opening = asyncio.Lock()
        self._failure: Exception | None = None
        self._closed = False
        self._interruptions = 0

    async def ask(self, packed: bytes) -> Any:  # any reply
        """Send one command; its reply.

        Raises:
            redis.exceptions.RedisError: The server refuses, or is away.
            WaitInterruptedError: ``interrupt`` was called during the wait.
        """
        connection = self.open
        if connection is None or connection.broken:
            interruptions = self._interruptions
            connection = await self._opened()
            if self._interruptions != interruptions:
                raise WaitInterruptedError
        return await connection.ask(packed)

    def renew(self) -> None:
        """Send later commands on another connection; this one is closed after its last reply."""
        if self.open is not None:
            self.open.retire()
            self._retired.append(self.open)
            self.open = None

    def interrupt(self) -> None:
        """End the wait of all calls."""
        self._interruptions += 1
        if self.open is not None:
            self.open.interrupt()

    async def aclose(self) -> None:
        """Close it; later calls raise."""
        self._closed = True
        self.renew()
        while self._retired:
            await self._retired.pop().aclose()

    async def _opened(self) -> PipelinedConnection | FakeConnection:
        """A connection that works; calls that wait for it share one attempt, also its failure."""
        known = self._failure
        async with self._opening:
            if self.open is not None and not self.open.broken:
                return self.open
            if self._failure is not None and self._failure is not known:
                raise self._failure.with_traceback(None)
            await self._close_ended()
            try:
                self._check_open()
                connection = await open_connection(self._route)
            except RedisConnectionError as error:
                self._failure = error
                raise
            if self._closed:
                await connection.aclose()
                self._check_open()
            self.open, self._failure = connection, None
            return connection

    async def _close_ended(self) -> None:
        """Close the connections that have ended."""
        self.renew()
        for connection in [one for one in self._retired if one.broken]:
            self._retired.remove(connection)
            await connection.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise RedisConnectionError("this process has closed the connection")
