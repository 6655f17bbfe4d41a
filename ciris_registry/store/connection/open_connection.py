"""Opening a connection: a route connects and logs in, then a pipelined connection takes over.

Of ``memory://`` there is no transport to take over, so a fake connection stands in for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError

from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection.client_internals import transport_of
from ciris_registry.store.connection.fake import FakeConnection
from ciris_registry.store.connection.pipelined import PipelinedConnection
from ciris_registry.store.connection.retry import ConnectingError
from ciris_registry.store.connection.routing import ask

if TYPE_CHECKING:
    from ciris_registry.store.connection.pipelined import Redirect
    from ciris_registry.store.connection.routing import Address, Route

CLIENT_NAME: Final = "ciris-registry"
"""The name that CLIENT LIST of a real server shows."""


async def open_connection(
    route: Route, at: Address | None = None, redirect: Redirect | None = None
) -> PipelinedConnection | FakeConnection:
    """Open a new connection, within ``REPLY_TIMEOUT``; ``at`` is as in ``Route.connect``.

    ``redirect`` is given what the server refuses; see ``pipelined.Redirect``.

    Raises:
        ConnectingError: It cannot be opened, or the server is not Redis; its cause says why.
    """
    try:
        async with asyncio.timeout(REPLY_TIMEOUT):
            return await _opened(await route.connect(at), redirect)
    except TimeoutError as error:
        raise ConnectingError(f"no answer within {REPLY_TIMEOUT:g} s") from error
    except (RedisError, OSError) as error:
        raise ConnectingError(str(error)) from error


async def _opened(
    connection: Any, redirect: Redirect | None
) -> PipelinedConnection | FakeConnection:
    transport = transport_of(connection)
    if transport is None:
        return FakeConnection(connection)
    try:
        # A courtesy, which the server may refuse.
        await ask(connection, ("CLIENT", "SETNAME", CLIENT_NAME))
        return PipelinedConnection(connection, transport, redirect)
    except BaseException:
        await connection.disconnect()
        raise
