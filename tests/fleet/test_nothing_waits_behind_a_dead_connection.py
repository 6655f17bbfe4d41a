"""One connection is dead, as behind a firewall that has forgotten it; Redis itself answers."""

from __future__ import annotations

import time

import redis

from ciris_registry import ServiceRegistry
from ciris_registry.settings import REPLY_TIMEOUT
from tests.redis_proxy import RedisProxy
from tests.waiting import async_wait_until


class Client:
    """A provider."""


async def test_flush_returns_when_another_connection_has_the_writes(real_url: str) -> None:
    """It waited for five seconds, until the dead connection was given up."""
    async with (
        RedisProxy(real_url.removeprefix("unix://")) as proxy,
        ServiceRegistry(url=proxy.url) as registry,
    ):
        registry.register_global("llm", Client(), name="one")
        await registry.flush()
        proxy.hang()
        registry.breaker("llm", "one").force_open("a test", 60)
        began = time.monotonic()
        await registry.flush()
        assert time.monotonic() - began < REPLY_TIMEOUT - 1
        await async_wait_until(lambda: registry.health().ok)
        await registry.refresh("llm")
        assert registry.breaker("llm", "one").state == "open"
        assert registry.health().outages == 0


async def test_aclose_leaves_the_fleet_by_another_connection(real_url: str) -> None:
    """It left only a lease that had to end, with registrations of a process that was gone."""
    async with RedisProxy(real_url.removeprefix("unix://")) as proxy:
        registry = ServiceRegistry(url=proxy.url)
        registry.register_global("llm", Client(), name="one")
        await registry.flush()
        proxy.hang()
        began = time.monotonic()
        await registry.aclose()
        assert time.monotonic() - began < REPLY_TIMEOUT - 1
        with redis.Redis.from_url(real_url) as client:
            assert not client.exists("ciris:v2:{default/0}:llm:registration:one")
