"""A connection on which commands follow each other at once, and replies come in their order.

redis-py opens and closes it: addresses, TLS, logins, databases. What redis-py does around each
command takes several times as long as the server, and every process of a fleet would pay that for
every opening of a breaker. Does not retry, and does not decide what a failure
means.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection.client_internals import error_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# hiredis' own type says a tuple of one.
pack: Callable[[tuple[str | int, ...]], bytes] = cast("Any", hiredis).pack_command

_LAST_LOOK: Final = 0.05
"""Seconds between the end of the timeout and giving up the connection: a process that was stopped
first reads what has arrived since."""

_NOTHING: Final = object()
_ASKING: Final = b"*1\r\n$6\r\nASKING\r\n"

Redirect: TypeAlias = "Callable[[PipelinedConnection, Exception, bytes, asyncio.Future[Any]], bool]"
"""Is given a command that the server has refused, with its error and the future of its caller; says
whether it sees to the caller's reply."""


def pack_script(head: tuple[str, str, int], values: Sequence[str | int]) -> bytes:
    """EVALSHA or EVAL as bytes: ``head`` is its name, the script and the number of keys."""
    try:
        return pack((*head, *values))
    except UnicodeEncodeError:
        # A reason or a host name that came from a file system: see os.fsdecode.
        return pack((*head, *(one if isinstance(one, int) else _encodable(one) for one in values)))


async def replies_to(asked: Sequence[asyncio.Future[Any]]) -> list[Any]:
    """All replies, of which an error is one. No other caller may wait for any of them."""
    replies: list[Any] = []
    try:
        for one in asked:
            try:
                replies.append(await one)
            except Exception as error:  # noqa: BLE001 # a reply
                replies.append(error)
    finally:
        for one in asked[len(replies) :]:
            # An error that came already is read, so that asyncio does not report it.
            _ = one.cancel() or one.cancelled() or one.exception()
    return replies


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


class WaitInterruptedError(Exception):
    """``interrupt`` has ended the wait for a reply."""


class PipelinedConnection(asyncio.Protocol):
    """One open connection, taken over from redis-py until redis-py closes it.

    Once it is ``broken`` its transport is closed, and only ``aclose`` is left to do. The reply of a
    caller that stopped waiting is dropped when it comes.
    """

    def __init__(
        self,
        connection: Any,
        transport: asyncio.Transport,
        redirect: Redirect | None = None,
    ) -> None:
        self.host: str = getattr(connection, "host", "")
        self._redirect = redirect
        self._connection = connection
        self._transport = transport
        # redis-py waits for this protocol when it closes the connection.
        self._streams = cast("asyncio.Protocol", transport.get_protocol())
        self._replies = hiredis.Reader(
            encoding="utf-8",
            # A field that was damaged by hand must be readable to be reported.
            errors="backslashreplace",
            replyError=error_parser(connection),
            notEnoughData=_NOTHING,
        )
        self._loop = asyncio.get_running_loop()
        self._unanswered: deque[tuple[asyncio.Future[Any], bytes]] = deque()
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._retired = False
        self.broken: bool = transport.is_closing()
        transport.set_protocol(self)

    def ask(self, packed: bytes) -> asyncio.Future[Any]:  # any reply
        """Send one command. It waits for its reply as long as the server answers any command.

        The future raises an error of ``redis.exceptions``, or WaitInterruptedError.
        """
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._send(packed, (reply, packed))
        return reply

    def ask_each(self, packed: Sequence[bytes]) -> list[asyncio.Future[Any]]:  # any replies
        """Send commands in one write; each is answered as by ``ask``."""
        replies = [self._loop.create_future() for _ in packed]
        self._send(b"".join(packed), *zip(replies, packed, strict=True))
        return replies

    def ask_again(
        self, packed: bytes, waiting: asyncio.Future[Any], *, asking: bool = False
    ) -> None:
        """Send a command that another connection has handed to ``redirect``, for its caller.

        With ``asking``, the server serves it though it is not the master of its slot yet.
        """
        if asking:
            unread: asyncio.Future[Any] = self._loop.create_future()
            unread.cancel()
            self._send(_ASKING + packed, (unread, _ASKING), (waiting, packed))
        else:
            self._send(packed, (waiting, packed))

    def _send(self, data: bytes, *awaited: tuple[asyncio.Future[Any], bytes]) -> None:
        if not self._unanswered:
            self._heard_at = self._loop.time()
        self._unanswered.extend(awaited)
        self._transport.write(data)
        if self._watch is None:
            self._watch = self._loop.call_later(REPLY_TIMEOUT, self._look)

    def interrupt(self) -> None:
        """If a caller waits, break the connection; all its callers go on."""
        if self._awaited():
            self._break(WaitInterruptedError)

    def retire(self) -> None:
        """Close it after the last reply that a caller waits for; no more commands are sent."""
        self._retired = True
        if not self._awaited():
            self._abort()

    async def aclose(self) -> None:
        """Close it at once, without waiting for the server; callers that wait get an error.

        If its event loop has ended, no caller waits, and its garbage is the connection's end.
        """
        self._break(partial(_lost, None))
        if self._loop.is_closed():
            return
        with contextlib.suppress(RedisError, OSError):
            await self._connection.disconnect()

    def data_received(self, data: bytes) -> None:
        """Give each reply to the caller of its command."""
        self._replies.feed(data)
        self._heard_at = self._loop.time()
        try:
            while (reply := self._replies.gets()) is not _NOTHING:
                waiting, packed = self._unanswered.popleft()
                if waiting.done():
                    continue
                if not isinstance(reply, Exception):
                    waiting.set_result(reply)
                elif self._redirect is None or not self._redirect(self, reply, packed, waiting):
                    waiting.set_exception(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            problem = f"the server does not speak the protocol of Redis: {error}"
            self._break(partial(RedisConnectionError, problem))
        if self._retired:
            self.retire()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed, by the server or by this process."""
        self._break(partial(_lost, exc))
        self._streams.connection_lost(None)  # the callers have the error

    def _awaited(self) -> bool:
        """Whether a caller waits for a reply."""
        return not all(reply.done() for reply, _ in self._unanswered)

    def _break(self, error: Callable[[], Exception]) -> None:
        self.broken = True
        self._forget_watch()
        while self._unanswered:
            waiting, _ = self._unanswered.popleft()
            if not waiting.done() and not self._loop.is_closed():
                waiting.set_exception(error())
        self._abort()

    def _abort(self) -> None:
        if not self._loop.is_closed():
            self._transport.abort()

    def _look(self, *, again: bool = False) -> None:
        """Break the connection if the server has answered nothing for ``REPLY_TIMEOUT``."""
        self._watch = None
        if not self._unanswered:
            return
        left = self._heard_at + REPLY_TIMEOUT - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        elif not again:
            self._watch = self._loop.call_later(_LAST_LOOK, partial(self._look, again=True))
        else:
            self._break(partial(RedisTimeoutError, f"no answer within {REPLY_TIMEOUT:g} s"))

    def _forget_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


def _lost(exc: Exception | None) -> RedisConnectionError:
    error = RedisConnectionError(str(exc) if exc else "Connection closed by server.")
    error.__cause__ = exc
    return error
