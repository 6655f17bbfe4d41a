"""A connection of redis-py, before its commands are pipelined: opening it, and short questions.

redis-py connects and logs in. What the replies mean is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import hiredis
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

# hiredis' own type says a tuple of one.
_pack: Callable[[tuple[str, ...]], bytes] = cast("Any", hiredis).pack_command


async def connect(connection: Any) -> Any:
    """Open a connection of redis-py, which is closed again if that fails; the connection."""
    try:
        await connection.connect()
    except BaseException:
        await connection.disconnect()
        raise
    return connection


async def ask(connection: Any, *commands: tuple[str, ...]) -> list[Any]:
    """Send commands in one write; their replies, of which an error of the server is one.

    Raises:
        redis.exceptions.RedisError: The connection broke.
    """
    packed = b"".join(map(_pack, commands))
    await connection.send_packed_command(packed, check_health=False)
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)
    return replies
