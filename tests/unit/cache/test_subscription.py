"""A subscription to events, and what it costs Redis."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from ciris_registry import ServiceRegistry


async def test_fifty_events_are_read_on_one_connection(real_url: str) -> None:
    async with ServiceRegistry(url=real_url) as registry, Redis.from_url(real_url) as client:
        registry.register_global("llm", object(), name="shared")
        await registry.flush()
        breaker, feed = registry.breaker("llm", "shared"), registry.events("llm")

        async def next_one() -> None:
            reading = asyncio.create_task(anext(feed))
            await asyncio.sleep(0)
            await breaker.areset("again")
            assert (await reading).kind == "breaker_reset"

        await next_one()
        newest = await client.client_id()
        for _ in range(50):
            await next_one()
        opened = [one for one in await client.client_list() if int(one["id"]) > newest]
        assert opened == []
