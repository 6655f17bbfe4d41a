"""The interface of a pipelined connection, over one of fakeredis, which has no socket.

Owns the order of its commands. Does not pipeline: the data lies in this process.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.exceptions import TimeoutError as RedisTimeoutError

from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection.pipelined import WaitInterruptedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence


class FakeConnection:
    """One connection that sends one command at a time; redis-py opens it again if it is closed."""

    def __init__(self, connection: Any) -> None:
        self.broken = False
        self._connection = connection
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Timeout | None = None
        self._interrupted = False

    def ask(self, packed: bytes) -> Awaitable[Any]:  # any reply
        """As ``PipelinedConnection.ask``."""
        return self._ask_in_turn(packed)

    def ask_each(self, packed: Sequence[bytes]) -> list[asyncio.Future[Any]]:  # any replies
        """As ``PipelinedConnection.ask_each``."""
        return [asyncio.ensure_future(self._ask_in_turn(one)) for one in packed]

    def interrupt(self) -> None:
        """As ``PipelinedConnection.interrupt``, except for commands that wait for their turn."""
        if self._waiting is not None and not self._waiting.expired():
            self._interrupted = True
            self._waiting.reschedule(0)

    def retire(self) -> None:
        """As ``PipelinedConnection.retire``."""
        self.broken = not self._turn.locked()

    async def aclose(self) -> None:
        """Close it."""
        await self._connection.disconnect()

    async def _ask_in_turn(self, packed: bytes) -> Any:
        async with self._turn:
            try:
                async with asyncio.timeout(REPLY_TIMEOUT) as self._waiting:
                    await self._connection.connect()
                    await self._connection.send_packed_command(packed, check_health=False)
                    return await self._connection.read_response()
            except TimeoutError:
                if self._interrupted:
                    raise WaitInterruptedError from None
                raise RedisTimeoutError(f"no answer within {REPLY_TIMEOUT:g} s") from None
            finally:
                self._waiting, self._interrupted = None, False
