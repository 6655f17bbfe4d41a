"""A plain command that finds Redis away is retried, on another connection."""

from __future__ import annotations

from typing import Any

from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.routing import DirectRoute
from ciris_registry.store.connection.transport import Transport


async def test_a_plain_command_that_finds_redis_away_is_retried_until_redis_answers() -> None:
    pool: Any = FakeRedis(server=FakeServer(), decode_responses=True).connection_pool
    attempts = 0

    def make() -> Any:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise RedisConnectionError("away")
        return pool.make_connection()

    async def revive() -> None:
        """No server to restart."""

    transport = Transport(DirectRoute(make), "redis://somewhere", 5.0, revive)
    assert await transport.ask("ECHO", "here") == "here"
    assert attempts == 3
    await transport.aclose()


async def test_commands_that_are_sent_at_once_get_an_error_each() -> None:
    pool: Any = FakeRedis(server=FakeServer(), decode_responses=True).connection_pool

    async def revive() -> None:
        """No server to restart."""

    transport = Transport(DirectRoute(pool.make_connection), "redis://somewhere", 5.0, revive)
    await transport.ask("SET", "text", "a")
    first, wrong, last = await transport.ask_each(
        [("GET", "text"), ("SMEMBERS", "text"), ("ECHO", "b")]
    )
    assert (first, last) == ("a", "b")
    assert isinstance(wrong, Exception)
    await transport.aclose()
