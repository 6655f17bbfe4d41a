"""One connection that many calls share, opened again after it has broken.

Owns which connection is used. Calls that wait for a new one share one attempt to open it. Does
not retry, and does not decide what a failure means.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.open_connection import open_connection
from ciris_registry.store.connection.pipelined import (
    PipelinedConnection,
    WaitInterruptedError,
    replies_to,
)
from ciris_registry.store.connection.routing import Address, Redirects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciris_registry.store.connection.fake import FakeConnection
    from ciris_registry.store.connection.routing import Route

    _Connection = PipelinedConnection | FakeConnection


_LOOKS: Final = 10
"""How often it is looked whether the last replies of a connection have come."""


class ReconnectingConnection:
    """Belongs to one event loop. ``aclose`` closes all connections that it has opened."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self.open: _Connection | None = None
        """The connection in use. A caller that finds it unbroken may send on it directly."""
        self._retired: list[_Connection] = []
        self._asides: dict[Address, PipelinedConnection] = {}
        self._redirects = Redirects(self) if route.redirects else None
        self._opening = asyncio.Lock()
        self._failure: Exception | None = None
        self._closed = False
        self._interruptions = 0
        self._waiting: set[asyncio.Timeout] = set()

    async def ask(self, packed: bytes) -> Any:  # any reply
        """Send one command; its reply.

        Raises:
            redis.exceptions.RedisError: The server refuses, or is away.
            WaitInterruptedError: ``interrupt`` was called during the wait.
        """
        connection = self.open
        if connection is None or connection.broken:
            connection = await self._opened_unless_interrupted()
        return await connection.ask(packed)

    async def ask_each(self, packed: Sequence[bytes]) -> list[Any]:  # any replies
        """Send commands in one write; their replies, of which an error of the server is one."""
        connection = self.open
        if connection is None or connection.broken:
            connection = await self._opened_unless_interrupted()
        return await replies_to(connection.ask_each(packed))

    def renew(self) -> None:
        """Send later commands on another connection; this one is closed after its last reply."""
        if self.open is not None:
            self._retire(self.open)
            self.open = None

    async def end_silent(self, seconds: float) -> None:
        """Close the connections that are not used any more, and whose replies stay away so long.

        The connection in use works: a command on a dead one would wait for ``REPLY_TIMEOUT``.
        """
        for _ in range(_LOOKS):
            if all(one.broken for one in self._retired):
                break
            await asyncio.sleep(seconds / _LOOKS)
        while self._retired:
            await self._retired.pop().aclose()

    def interrupt(self) -> None:
        """End the wait of all calls."""
        self._interruptions += 1
        for waiting in self._waiting:
            if not waiting.expired():
                waiting.reschedule(0)
        if self._redirects is not None:
            self._redirects.interrupt()
        if self.open is not None:
            self.open.interrupt()

    async def aclose(self) -> None:
        """Close it; later calls raise."""
        self._closed = True
        if self._redirects is not None:
            self._redirects.close()
        self.renew()
        self._retire_asides()
        while self._retired:
            await self._retired.pop().aclose()

    # What a redirected command needs

    def leave(self, connection: PipelinedConnection) -> None:
        """Send no more commands on this connection, if it is in use."""
        if self.open is connection:
            self.renew()

    async def to_master(self, at: Address | None) -> PipelinedConnection:
        """The connection in use; if there is none, a new one, ``at`` the server that is named."""
        return cast("PipelinedConnection", await self._opened(at))

    async def aside(self, at: Address) -> PipelinedConnection:
        """A second connection, to the node that a slot is moving to."""
        known = self._asides.get(at)
        if known is not None and not known.broken:
            return known
        self._check_open()
        connection = cast("PipelinedConnection", await self._new(at))
        if known is not None:
            self._retire(known)
        self._asides[at] = connection
        return connection

    async def _opened_unless_interrupted(self) -> _Connection:
        """As ``_opened``; a server that does not answer must not outlast ``interrupt``."""
        interruptions = self._interruptions
        waiting = asyncio.timeout(None)
        self._waiting.add(waiting)
        try:
            async with waiting:
                connection = await self._opened()
        except TimeoutError:
            if not waiting.expired():
                raise
            raise WaitInterruptedError from None
        finally:
            self._waiting.discard(waiting)
        if self._interruptions != interruptions:
            raise WaitInterruptedError
        return connection

    async def _opened(self, at: Address | None = None) -> _Connection:
        """A connection that works; calls that wait for it share one attempt, also its failure."""
        if self.open is not None and not self.open.broken:
            return self.open
        known = self._failure
        async with self._opening:
            if self.open is not None and not self.open.broken:
                return self.open
            if self._failure is not None and self._failure is not known:
                raise self._failure.with_traceback(None)
            await self._close_ended()
            try:
                self._check_open()
                self.open = self._adopted(at) or await self._new(at)
            except RedisConnectionError as error:
                self._failure = error
                raise
            self._failure = None
            return self.open

    async def _new(self, at: Address | None) -> _Connection:
        redirect = None if self._redirects is None else self._redirects.take
        connection = await open_connection(self._route, at, redirect)
        if self._closed:
            await connection.aclose()
            self._check_open()
        return connection

    def _adopted(self, at: Address | None) -> PipelinedConnection | None:
        """The second connection to ``at``, once the slot has moved there; the others end."""
        found = None if at is None else self._asides.pop(at, None)
        self._retire_asides()
        return None if found is None or found.broken else found

    def _retire(self, connection: _Connection) -> None:
        connection.retire()
        self._retired.append(connection)

    def _retire_asides(self) -> None:
        while self._asides:
            self._retire(self._asides.popitem()[1])

    async def _close_ended(self) -> None:
        """Close the connections that have ended."""
        self.renew()
        for connection in [one for one in self._retired if one.broken]:
            self._retired.remove(connection)
            await connection.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise RedisConnectionError("this process has closed the connection")
