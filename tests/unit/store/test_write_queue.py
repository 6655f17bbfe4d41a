"""Writes of synchronous methods are pending until they are in Redis."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import redis

from ciris_registry.store import write_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from ciris_registry import ServiceRegistry


async def test_flush_waits_for_a_write_in_flight(
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


async def test_closing_waits_for_a_write_in_flight(real_url: str) -> None:
    from ciris_registry import ServiceRegistry

    registry = ServiceRegistry(url=real_url)
    await registry.start()
    breaker = registry.breaker("llm", "shared")
    breaker.force_open("maintenance")
    await asyncio.sleep(0)
    await registry.aclose()
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        key = "ciris:v2:{default/llm}:breaker:shared"
        assert client.hget(key, "override") == "open"
        client.delete(key)  # an override without an end never expires


async def test_the_queue_is_bounded_and_dropped_writes_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ciris_registry import RegistrySettings, ServiceRegistry

    monkeypatch.setattr(write_queue, "MOST_PENDING", 100)
    settings = RegistrySettings(write_timeout=0)
    registry = ServiceRegistry(url="redis://127.0.0.1:1/0", settings=settings)
    await registry.start()
    with caplog.at_level(logging.WARNING):
        for number in range(150):
            registry.breaker("llm", f"n{number}").force_open("maintenance", 60)
            assert registry.health().pending_writes == min(number + 1, 100)
    assert registry.health().dropped_writes == 50
    logged = [one for one in caplog.messages if "writes wait for Redis" in one]
    assert logged == ["more than 100 writes wait for Redis: the oldest are dropped"]
    assert "n50" in registry._parts.write_queue._writes[0].what, "the oldest were dropped"
    await registry.aclose()
