"""Commands that a node of a cluster has not carried out: sent again, in their order.

MOVED names the slot's new master, ASK the node to ask this once, with ASKING in the same write.
TRYAGAIN, CLUSTERDOWN and an interrupted wait mean later. None of them was done, so each may be sent
again, until its caller stops waiting or ``REPLY_TIMEOUT`` has passed; then its caller gets the
error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection.pipelined import WaitInterruptedError
from ciris_registry.store.connection.routing.address import Address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.store.connection.pipelined import PipelinedConnection

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1
"""Seconds between two attempts at what the cluster cannot serve for a while."""

_AT_ONCE: Final = 2
"""Redirections in a row that are followed without a pause: two nodes may name each other."""

_UNBLOCKED: Final = "UNBLOCKED "
"""A master that becomes a replica ends blocked reads with this error."""

_NOT_DONE: Final = (AskError, TryAgainError, ClusterDownError)


class Connections(Protocol):
    """The connections on which commands are sent again."""

    def leave(self, connection: PipelinedConnection) -> None:
        """Send no more commands on this connection: its server is not the master."""

    async def to_master(self, at: Address | None) -> PipelinedConnection:
        """The connection in use; if there is none, a new one, ``at`` the server that is named."""
        ...

    async def aside(self, at: Address) -> PipelinedConnection:
        """A second connection, to the node that a slot is moving to."""
        ...


@dataclass(slots=True)
class _Command:
    packed: bytes
    waiting: asyncio.Future[Any]
    until: float
    at: Address | None = None
    asking: bool = False
    tries: int = 0


class Redirects:
    """The refused commands of one shared connection; belongs to its event loop."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._commands: dict[asyncio.Future[Any], _Command] = {}
        self._due: deque[_Command] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._sending: asyncio.Task[None] | None = None

    def take(
        self,
        source: PipelinedConnection,
        error: Exception,
        packed: bytes,
        waiting: asyncio.Future[Any],
    ) -> bool:
        """Whether this error of ``source`` means that the command is sent again."""
        if not (isinstance(error, _NOT_DONE) or _is_not_master(error)):
            return False
        loop = asyncio.get_running_loop()
        command = self._commands.get(waiting)
        if command is None:
            until = loop.time() + REPLY_TIMEOUT
            command = self._commands[waiting] = _Command(packed, waiting, until)
            waiting.add_done_callback(self._forget)
        elif loop.time() > command.until:
            return False
        command.tries += 1
        command.at, command.asking = None, False
        if isinstance(error, AskError):
            said: Any = error  # without types in redis-py
            command.at = Address(str(said.host or source.host), int(said.port))
            command.asking = not isinstance(error, MovedError)  # which is an AskError, too
        still_down = isinstance(error, ClusterDownError) and command.tries > _AT_ONCE
        if still_down or _is_not_master(error):
            self._connections.leave(source)
        self._plan(command, loop)
        return True

    def interrupt(self) -> None:
        """End the wait of the callers of all commands that wait here."""
        self._end(WaitInterruptedError)

    def close(self) -> None:
        """Send nothing any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._sending is not None:
            self._sending.cancel()
        self._end(lambda: RedisConnectionError("this process has closed the connection"))

    def _plan(self, command: _Command, loop: asyncio.AbstractEventLoop) -> None:
        """Send it again at once if the error says where, else after a pause."""
        if command.at is not None and command.tries <= _AT_ONCE:
            self._put(command)
            return
        pause = min(_FIRST_PAUSE * 2 ** min(command.tries, 10), _LONGEST_PAUSE)

        def put() -> None:
            self._timers.discard(timer)
            self._put(command)

        timer = loop.call_later(pause, put)
        self._timers.add(timer)

    def _put(self, command: _Command) -> None:
        self._due.append(command)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._due:
            command = self._due[0]
            connection: PipelinedConnection | None = None
            if not command.waiting.done():
                try:
                    connection = await self._connection_for(command)
                except (RedisError, OSError) as error:
                    if not command.waiting.done():
                        command.waiting.set_exception(error)
            self._due.popleft()
            if connection is not None and not command.waiting.done():
                connection.ask_again(command.packed, command.waiting, asking=command.asking)

    def _connection_for(self, command: _Command) -> Awaitable[PipelinedConnection]:
        if command.asking and command.at is not None:
            return self._connections.aside(command.at)
        return self._connections.to_master(command.at)

    def _forget(self, waiting: asyncio.Future[Any]) -> None:
        self._commands.pop(waiting, None)

    def _end(self, error: Callable[[], Exception]) -> None:
        for waiting in list(self._commands):
            if not waiting.done() and not waiting.get_loop().is_closed():
                waiting.set_exception(error())


def _is_not_master(error: Exception) -> bool:
    """Whether a server says with this error that it is not the slot's master, or not any more."""
    return isinstance(error, (MovedError, MasterDownError)) or str(error).startswith(_UNBLOCKED)
