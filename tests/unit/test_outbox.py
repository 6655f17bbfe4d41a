"""What synchronous methods leave behind is pending until it is in Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry import ServiceRegistry


async def test_flush_waits_for_a_write_that_is_on_its_way(
    new_registry: Callable[..., ServiceRegistry], url: str
) -> None:
    registry, other = new_registry(), new_registry()
    await registry.start()
    await other.start()
    registry.register_global("llm", object(), name="shared")
    await asyncio.sleep(0)  # the write begins, and nothing else waits to begin
    await registry.flush()
    seen = await other.aget_provider_info(service_type="llm")
    assert [one["name"] for one in seen["global_services"]["llm"]] == ["shared"]


async def test_closing_waits_for_a_write_that_is_on_its_way(real_url: str) -> None:
    from ciris_registry import ServiceRegistry

    registry = ServiceRegistry(url=real_url)
    await registry.start()
    breaker = registry.breaker("llm", "shared")
    breaker.force_open("maintenance")
    await asyncio.sleep(0)
    await registry.aclose()
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        key = "ciris:v1:{default/llm}:breaker:shared"
        assert client.hget(key, "override") == "open"
        client.delete(key)  # an override without an end stays for ever
