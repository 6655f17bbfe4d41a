"""A registration does not make a breaker anew, closed, that this process knows to be open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis

from ciris_registry import CircuitBreakerConfig, ServiceRegistry
from ciris_registry.store.keys import TypeKeys

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]


class Client:
    """A provider."""


async def test_a_second_handler_closed_a_breaker_that_redis_had_lost(
    new_registry: New, real_url: str
) -> None:
    registry = new_registry(url=real_url, consistency="cached")
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=600)
    registry.register("one", "llm", Client(), name="shared", circuit_breaker_config=config)
    await registry.breaker("llm", "shared").arecord_failure()
    breaker = TypeKeys("default", "llm").breaker("shared")
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        client.delete(breaker)
        registry.register("other", "llm", Client(), name="shared")
        await registry.flush()
        assert client.hget(breaker, "state") == "open"
