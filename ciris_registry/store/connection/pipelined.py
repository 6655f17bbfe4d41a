"""A connection on which commands follow each other at once, and replies come in their order.

redis-py opens and closes it: addresses, TLS, logins, databases. What it does around each command in
between takes several times as long as the server, and every process of a fleet would pay that for
every opening. It refuses to try anything again, and to say what a failure means.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ciris_registry.settings import REPLY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

_LAST_LOOK: Final = 0.05
"""Seconds from when a wire seems to be dead until it is given up: this process may have been
stopped, and then reads first what has arrived meanwhile."""

_NOTHING: Final = object()


class WaitInterruptedError(Exception):
    """Somebody here has ended the wait for a reply."""


class PipelinedConnection(asyncio.Protocol):
    """One open connection, taken over from redis-py until it closes it.

    Once it is ``broken``, it is closed, but for what redis-py keeps of it. Whoever gives up waiting
    is forgotten when the reply comes.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001
        # It is told what redis-py waits for when it closes the connection.
        self._streams = cast("asyncio.Protocol", self._transport.get_protocol())
        self._replies = hiredis.Reader(
            encoding="utf-8",
            # A field that someone damaged by hand must be readable to be reported.
            errors="backslashreplace",
            replyError=connection._parser.parse_error,  # noqa: SLF001
            notEnoughData=_NOTHING,
        )
        self._loop = asyncio.get_running_loop()
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._retired = False
        self.broken: bool = self._transport.is_closing()
        self._transport.set_protocol(self)

    def ask(self, packed: bytes) -> asyncio.Future[Any]:  # whatever the server answers
        """Send one command. Its reply comes as long as the server answers anything.

        The reply raises what is wrong: an error of ``redis.exceptions``, or InterruptedWaitError.
        """
        reply: asyncio.Future[Any] = self._loop.create_future()
        if not self._asked:
            self._heard_at = self._loop.time()
        self._asked.append(reply)
        self._transport.write(packed)
        if self._watch is None:
            self._watch = self._loop.call_later(REPLY_TIMEOUT, self._look)
        return reply

    def interrupt(self) -> None:
        """If somebody waits, break it, and let all go on."""
        if self._awaited():
            self._break(WaitInterruptedError)

    def retire(self) -> None:
        """Nobody asks it any more: it ends with the last reply that somebody waits for."""
        self._retired = True
        if not self._awaited():
            self._transport.abort()

    async def aclose(self) -> None:
        """Close it at once, and tell whoever still waits; the server is not waited for."""
        self._break(partial(_lost, None))
        with contextlib.suppress(RedisError, OSError):
            await self._connection.disconnect()

    def data_received(self, data: bytes) -> None:
        """Give each reply to whoever asked for it."""
        self._replies.feed(data)
        self._heard_at = self._loop.time()
        try:
            while (reply := self._replies.gets()) is not _NOTHING:
                waiting = self._asked.popleft()
                if waiting.done():
                    continue
                if isinstance(reply, Exception):
                    waiting.set_exception(reply)
                else:
                    waiting.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self._break(partial(RedisConnectionError, f"this is no Redis: {error}"))
        if self._retired:
            self.retire()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._break(partial(_lost, exc))
        self._streams.connection_lost(None)  # who asked has been told

    def _awaited(self) -> bool:
        """Whether somebody waits; whoever gave up does not."""
        return not all(reply.done() for reply in self._asked)

    def _break(self, error: Callable[[], Exception]) -> None:
        self.broken = True
        self._forget_watch()
        while self._asked:
            waiting = self._asked.popleft()
            if not waiting.done():
                waiting.set_exception(error())
        self._transport.abort()

    def _look(self, *, again: bool = False) -> None:
        """Whether the server has answered anything for as long as somebody may wait."""
        self._watch = None
        if not self._asked:
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
