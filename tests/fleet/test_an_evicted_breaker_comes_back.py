"""Redis evicts one key, and nothing else says that data were lost: a new process still knows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from ciris_registry.store.keys import TypeKeys
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.shared_breaker import BreakerHandle

    New = Callable[..., ServiceRegistry]

QUICK = RegistrySettings(lease=1.5, heartbeat_interval=0.2)
LONG = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=600)

WAYS: dict[str, Callable[[BreakerHandle], Awaitable[object]]] = {
    "open": lambda breaker: breaker.arecord_failure(),
    "cooling_down": lambda breaker: breaker.acool_down(600.0, "HTTP 429"),
    "forced_open": lambda breaker: breaker.aforce_open("maintenance", 600),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_new_process_called_what_redis_had_evicted(
    new_registry: New, real_url: str, way: str
) -> None:
    one, other = (new_registry(url=real_url, settings=QUICK) for _ in range(2))
    for registry in (one, other):
        registry.register_global("llm", object(), name="openai", circuit_breaker_config=LONG)
        await registry.flush()
    await WAYS[way](one.breaker("llm", "openai"))
    await async_wait_until(lambda: not other.breaker("llm", "openai").is_available())

    key = TypeKeys("default", "llm").breaker("openai")
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        assert client.delete(key) == 1
        await async_wait_until(lambda: bool(client.exists(key)))
        newcomer = new_registry(url=real_url, consistency="exact")
        newcomer.bind("openai", object())

        async def refused() -> bool:
            [line] = await newcomer.explain("h", "llm")
            return line.reason == way

        for _ in range(100):
            if await refused():
                break
            await asyncio.sleep(0.05)
        assert await refused()
