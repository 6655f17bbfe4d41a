"""The installed redis-py and fakeredis have the private names that this package reads."""

from __future__ import annotations

import asyncio
from inspect import getclosurevars
from typing import TYPE_CHECKING, Any

import pytest
from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from ciris_registry.store.connection.client_internals import (
    ClientInternalsError,
    drop_dead_waiters,
    error_parser,
    transport_of,
)
from ciris_registry.store.connection.clients import Clients
from ciris_registry.store.connection.url import StoreURL
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def connection(real_url: str) -> AsyncIterator[Any]:
    """A connected connection of redis-py."""
    async with Redis.from_url(real_url) as client:
        pool: Any = client.connection_pool
        connection = pool.make_connection()
        await connection.connect()
        yield connection
        await connection.disconnect()


async def test_redis_py_has_the_writer_of_a_connection(connection: Any) -> None:
    assert hasattr(connection, "_writer"), "redis-py: Connection._writer is gone"
    assert isinstance(connection._writer, asyncio.StreamWriter), (
        "redis-py: Connection._writer is no StreamWriter any more"
    )
    transport = transport_of(connection)
    assert isinstance(transport, asyncio.Transport)


async def test_fakeredis_has_another_writer() -> None:
    async with await Clients(StoreURL.parse("memory://")).client() as client:
        pool: Any = client.connection_pool
        connection = pool.make_connection()
        await connection.connect()
        assert transport_of(connection) is None, "fakeredis: its _writer is a StreamWriter now"
        await connection.disconnect()


async def test_redis_py_has_the_parser_of_a_connection(connection: Any) -> None:
    assert hasattr(connection, "_parser"), "redis-py: Connection._parser is gone"
    assert hasattr(connection._parser, "parse_error"), "redis-py: _parser.parse_error is gone"
    parse_error = error_parser(connection)
    assert isinstance(parse_error("NOSCRIPT No matching script."), NoScriptError)
    assert isinstance(parse_error("WRONGTYPE Operation against a key"), ResponseError)


@pytest.mark.parametrize("read", [transport_of, error_parser])
def test_a_missing_name_is_an_error_that_says_what_to_install(read: Any) -> None:
    with pytest.raises(ClientInternalsError, match=r"redis-py \d+.* has no object\._\w+, which"):
        read(object())


async def test_fakeredis_has_the_blocked_reads_of_a_database() -> None:
    server = FakeServer()
    async with FakeRedis(server=server) as client:
        reading: asyncio.Future[Any] = asyncio.ensure_future(
            client.xread({"stream": "$"}, block=60_000)
        )
        await async_wait_until(lambda: len(server.dbs) > 0)
        assert hasattr(server.dbs[0], "_change_callbacks"), "fakeredis: _change_callbacks is gone"
        await async_wait_until(lambda: server.dbs[0]._change_callbacks)
        (callback,) = server.dbs[0]._change_callbacks
        loop = getclosurevars(callback).nonlocals.get("loop")
        assert loop is asyncio.get_running_loop(), "fakeredis: a callback has no loop any more"
        await client.xadd("stream", {"field": "value"})
        await reading


def test_blocked_reads_of_a_closed_event_loop_are_dropped() -> None:
    server = FakeServer()
    loop = asyncio.new_event_loop()

    def callback() -> None:
        loop.call_soon_threadsafe(print)

    server.dbs[0].add_change_callback(callback)
    drop_dead_waiters(server)
    assert server.dbs[0]._change_callbacks == {callback}

    loop.close()
    drop_dead_waiters(server)
    assert not server.dbs[0]._change_callbacks
