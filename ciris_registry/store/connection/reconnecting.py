"""The way to the server that many calls share: a wire, and another one when that has broken.

Owns which wire is asked, and that all who wait for one share an attempt to open it. It refuses to
try again, and to say what a failure means.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection.fake import FakeConnection
from ciris_registry.store.connection.pipelined import PipelinedConnection, WaitInterruptedError
from ciris_registry.store.connection.retry import ConnectingError


class ReconnectingConnection:
    """Belongs to one event loop. What it has opened is closed by ``aclose``, and not before."""

    def __init__(self, pool: Any) -> None:  # redis-py leaves much of its pools without types
        self._pool = pool
        self.open: PipelinedConnection | FakeConnection | None = None
        """The connection in use. A caller that finds it unbroken may send on it directly."""
        self._retired: list[PipelinedConnection | FakeConnection] = []
        self._opening = asyncio.Lock()
        self._failure: Exception | None = None
        self._closed = False
        self._interruptions = 0

    async def ask(self, packed: bytes) -> Any:  # whatever the server answers
        """Send one command; its reply.

        Raises:
            redis.exceptions.RedisError: The server refuses, or is away.
            InterruptedWaitError: ``interrupt`` was called meanwhile.
        """
        connection = self.open
        if connection is None or connection.broken:
            interruptions = self._interruptions
            connection = await self._opened()
            if self._interruptions != interruptions:
                raise WaitInterruptedError
        return await connection.ask(packed)

    def renew(self) -> None:
        """What is asked from now on goes over another wire; this one ends with its last reply."""
        if self.open is not None:
            self.open.retire()
            self._retired.append(self.open)
            self.open = None

    def interrupt(self) -> None:
        """End the wait of all who ask now."""
        self._interruptions += 1
        if self.open is not None:
            self.open.interrupt()

    async def aclose(self) -> None:
        """Close it for good."""
        self._closed = True
        self.renew()
        while self._retired:
            await self._retired.pop().aclose()

    async def _opened(self) -> PipelinedConnection | FakeConnection:
        """A wire that can be used; those who wait for it share one attempt, also if it fails."""
        known = self._failure
        async with self._opening:
            if self.open is not None and not self.open.broken:
                return self.open
            if self._failure is not None and self._failure is not known:
                raise self._failure.with_traceback(None)
            await self._clear_away()
            try:
                self._check_open()
                connection = await _connected(self._pool)
            except RedisConnectionError as error:
                self._failure = error
                raise
            if self._closed:
                await connection.aclose()
                self._check_open()
            self.open, self._failure = connection, None
            return connection

    async def _clear_away(self) -> None:
        """Close what has ended."""
        self.renew()
        for connection in [one for one in self._retired if one.broken]:
            self._retired.remove(connection)
            await connection.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise RedisConnectionError("it was closed here")


async def _connected(pool: Any) -> PipelinedConnection | FakeConnection:
    """A wire over a new connection.

    Raises:
        ConnectingError: There is none, or what answers there is no Redis; its cause says why.
    """
    connection = pool.make_connection()
    try:
        async with asyncio.timeout(REPLY_TIMEOUT):
            await connection.connect()
    except TimeoutError as error:
        await connection.disconnect()
        raise ConnectingError(f"no answer within {REPLY_TIMEOUT:g} s") from error
    except (RedisError, OSError) as error:
        await connection.disconnect()
        raise ConnectingError(str(error)) from error
    except BaseException:
        await connection.disconnect()
        raise
    if isinstance(connection._writer, asyncio.StreamWriter):  # noqa: SLF001 # nothing else tells
        return PipelinedConnection(connection)
    return FakeConnection(connection)
