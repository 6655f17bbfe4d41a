"""Sending scripts and commands to Redis, and handling their failures.

Owns NOSCRIPT, retries, and the translation of redis-py's errors into this package's. What a
script means is not known here.
"""

from __future__ import annotations

import asyncio
import re
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import hiredis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from ciris_registry.errors import (
    AccessDeniedError,
    CorruptStateError,
    IndeterminateWriteError,
    StoreError,
    StoreUnavailableError,
)
from ciris_registry.store.connection.reconnecting import ReconnectingConnection
from ciris_registry.store.connection.retry import UNREACHABLE, never_sent, persistently

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from ciris_registry.store.connection.routing import Route


_R = TypeVar("_R")

# hiredis' own type says a tuple of one.
_pack: Callable[[tuple[str | int, ...]], bytes] = cast("Any", hiredis).pack_command

_REFUSALS: Final = (ReadOnlyError, OutOfMemoryError, ClusterDownError, InvalidResponse)
_REFUSAL: Final = re.compile(
    r"(?:^|: -)(?:READONLY|OOM|MISCONF|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|BUSY|UNBLOCKED) "
)
"""Errors with which a server refuses for a while; it counts as away. redis-py removes the code from
those that it has a type for (MASTERDOWN's is ClusterDownError), and Redis 6.2 puts a text of its
own before the error of a command in a script."""

_HINTS: Final = {
    "WRONG_VERSION_NUMBER": "this port does not speak TLS, so try redis://",
    "Protocol error": "this port does not speak the protocol of Redis",
}
"""Advice for errors that give none."""

_ACCESS_DENIED: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
_WRONG_DATABASE: Final = "DB index is out of range"


class Transport:
    """The transport of one partition, which belongs to one event loop.

    A call that finds Redis away is retried for ``write_timeout`` seconds. ``on_failure`` is called
    with the error of a call that failed in the end, ``on_reply`` after each reply. A script that
    the server has forgotten is sent again in full.
    """

    def __init__(
        self,
        route: Route,
        url: str,
        write_timeout: float,
        revive: Callable[[], Awaitable[None]],
        on_failure: Callable[[object], None] = lambda _: None,
        on_reply: Callable[[], None] = lambda: None,
    ) -> None:
        self._route = route
        self._connections: weakref.WeakSet[ReconnectingConnection] = weakref.WeakSet()
        self._connection = self.connection()
        self._url = url
        self._write_timeout = write_timeout
        self._revive = revive
        self._on_failure = on_failure
        self._on_reply = on_reply
        self._closed = False

    async def evaluate(
        self, sha: str, text: str, numkeys: int, values: list[str | int], *, repeatable: bool = True
    ) -> list[Any]:
        """Run the Lua script ``text``, whose SHA-1 is ``sha``; its reply.

        A call that is not ``repeatable`` is sent a second time only if Redis cannot have received
        the first.

        Raises:
            IndeterminateWriteError: The connection broke while such a call was in flight.
            StoreUnavailableError: Redis is away.
            StoreError: Redis refuses.
        """
        try:
            packed = _pack(("EVALSHA", sha, numkeys, *values))
        except UnicodeEncodeError:
            # A reason or a host name that came from a file system: see os.fsdecode.
            values = [one if isinstance(one, int) else _clean(one) for one in values]
            packed = _pack(("EVALSHA", sha, numkeys, *values))

        reply: list[Any]
        try:
            reply = await self.attempt(lambda: self._ask(packed), repeatable=repeatable)
        except NoScriptError:
            in_full = _pack(("EVAL", text, numkeys, *values))
            reply = await self.attempt(lambda: self._ask(in_full), repeatable=repeatable)
        return reply

    def _ask(self, packed: bytes) -> Awaitable[Any]:
        connection = self._connection.open
        if connection is None or connection.broken:
            return self._connection.ask(packed)
        return connection.ask(packed)

    async def wait(
        self, connection: ReconnectingConnection, command: tuple[str | int, ...]
    ) -> Any:  # any reply
        """Send a command that blocks on the server, on a connection that no other call uses."""
        packed = _pack(command)
        # Its reply does not show that the connection of the scripts works.
        return await self.attempt(lambda: connection.ask(packed), note_reply=False)

    async def ping(self, limit: float) -> None:
        """Have the server answer within ``limit`` seconds, on the connection of the scripts."""
        packed = _pack(("PING",))
        await self.attempt(lambda: _limited(self._connection.ask(packed), limit))

    def renew(self) -> None:
        """Open a new connection: the current one, or the server behind it, may be dead."""
        self._connection.renew()

    async def ask(self, *command: str | int) -> Any:  # any reply
        """Send one plain command, on the connection of the scripts."""
        packed = _pack(command)
        return await self.attempt(lambda: self._ask(packed))

    async def ask_each(self, commands: Iterable[tuple[str | int, ...]]) -> list[Any]:
        """Send plain commands at once; their replies, of which an error of Redis is one.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        packed = [_pack(one) for one in commands]

        async def all_of_them() -> list[Any]:
            replies = await asyncio.gather(*map(self._ask, packed), return_exceptions=True)
            for reply in replies:
                if isinstance(reply, UNREACHABLE):
                    raise reply
            return replies

        replies: list[Any] = await self.attempt(all_of_them)
        return replies

    async def attempt(
        self,
        call: Callable[[], Awaitable[Any]],
        *,
        repeatable: bool = True,
        note_reply: bool = True,
    ) -> Any:  # any reply
        """Make one call; only if it fails, what a retry needs is set up."""
        self._check_open()
        try:
            reply = await call()
        except NoScriptError:
            raise
        except UNREACHABLE as error:
            self._check_open()  # not an outage
            reply = await self._persist(call, error, repeatable=repeatable)
        except RedisError as error:
            raise self._explained(error) from None
        if note_reply:
            self._on_reply()
        return reply

    async def _persist(
        self, call: Callable[[], Awaitable[Any]], failure: Exception, *, repeatable: bool
    ) -> Any:
        async def once() -> Any:  # tenacity awaits only coroutine functions
            return await call()

        try:
            if self._write_timeout > 0:
                await self._revive()
            return await persistently(
                once, write_timeout=self._write_timeout, repeatable=repeatable, after=failure
            )
        except NoScriptError:
            raise
        except (RedisError, OSError) as error:
            self._on_failure(error)
            lost = isinstance(error, UNREACHABLE) and not repeatable and not never_sent(error)
            if lost:
                raise IndeterminateWriteError(self._url, str(error)) from None
            raise self._explained(error) from None

    def connection(self) -> ReconnectingConnection:
        """A connection for one caller, which is closed with the transport at the latest."""
        connection = ReconnectingConnection(self._route)
        self._connections.add(connection)
        return connection

    async def aclose(self) -> None:
        """Close the connections."""
        self._closed = True
        for connection in list(self._connections):
            await connection.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError(self._url, "this process has closed the connection")

    def _explained(self, error: Exception) -> Exception:
        text = str(error) or type(error).__name__
        text += next((f"; {hint}" for sign, hint in _HINTS.items() if sign in text), "")
        # While it connects, redis-py wraps every error in a ConnectionError.
        if (
            any(isinstance(one, _ACCESS_DENIED) for one in _causes(error))
            or _WRONG_DATABASE in text
        ):
            return AccessDeniedError(self._url, text)
        if "WRONGTYPE" in text:
            return CorruptStateError(self._url, text)
        if isinstance(error, (*UNREACHABLE, *_REFUSALS)) or _REFUSAL.search(text):
            return StoreUnavailableError(self._url, text)
        return StoreError(self._url, text)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _clean(text: str) -> str:
    """A text with ``?`` for each character that UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


async def _limited(work: Awaitable[_R], seconds: float) -> _R:
    """Wait for a command for so many seconds, and lose no cancellation.

    Under Python 3.11, redis-py's ``asyncio.wait_for`` drops a cancellation that comes together with
    the end of sending. The command then goes on, and may fail when its connection is closed.
    """
    task = cast("asyncio.Task[object]", asyncio.current_task())
    before = task.cancelling()
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise RedisTimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
