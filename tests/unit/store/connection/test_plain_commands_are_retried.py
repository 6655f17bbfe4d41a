"""A command of redis-py is retried; once, its reply after a retry was a coroutine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def test_a_plain_command_that_finds_redis_away_is_retried_until_redis_answers() -> None:
    attempts: list[Redis] = []

    async def answered() -> str:
        if len(attempts) < 3:
            raise RedisConnectionError("away")
        return "here"

    def call(client: Redis) -> Awaitable[str]:
        attempts.append(client)
        return answered()

    async def revive() -> None:
        """No server to restart."""

    client = Redis()
    transport = Transport(client, "redis://somewhere", 5.0, revive)
    assert await transport.command(call) == "here"
    assert attempts == [client] * 3
    await transport.aclose()
