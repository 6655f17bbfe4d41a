"""Opening a connection: redis-py connects and logs in, then a pipelined connection takes over.

Of ``memory://`` there is no transport to take over, so a fake connection stands in for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import RedisError

from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection.client_internals import transport_of
from ciris_registry.store.connection.fake import FakeConnection
from ciris_registry.store.connection.pipelined import PipelinedConnection
from ciris_registry.store.connection.retry import ConnectingError


async def open_connection(pool: Any) -> PipelinedConnection | FakeConnection:
    """Open a new connection, within ``REPLY_TIMEOUT``.

    Raises:
        ConnectingError: It cannot be opened, or the server is not Redis; its cause says why.
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
    transport = transport_of(connection)
    if transport is None:
        return FakeConnection(connection)
    return PipelinedConnection(connection, transport)
