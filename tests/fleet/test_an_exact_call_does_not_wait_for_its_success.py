"""What an exact call waits for: not for the success of a closed breaker, but for any failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from tests.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

CALM = RegistrySettings(lease=3600.0, store_timeout=5.0)
BREAKER = "ciris:v2:{default/0}:llm:breaker:one"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


def counted(server: Server) -> tuple[int, int]:
    """The successes and failures that Redis has counted."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        found: Any = client.hmget(BREAKER, "total_successes", "total_failures")
    return int(found[0]), int(found[1])


async def started(server: Server, **config: Any) -> ServiceRegistry:
    """An exact registry that has made one call."""
    registry = ServiceRegistry(url=server.url, settings=CALM, consistency="exact")
    settings = CircuitBreakerConfig(**config)
    registry.register_global("llm", object(), name="one", circuit_breaker_config=settings)
    await registry.call("h", "llm", succeed)
    await registry.flush()
    return registry


async def succeed(_: object) -> str:
    return "yes"


async def test_a_success_is_sent_and_not_waited_for(server: Server) -> None:
    registry = await started(server)

    async def freeze(_: object) -> None:
        server.freeze()

    try:
        await registry.call("h", "llm", freeze)  # it would wait for store_timeout
        assert registry.health().redis == "connected"
        assert registry.breaker("llm", "one").get_stats()["total_successes"] == 2
    finally:
        server.thaw()
    await registry.flush()

    assert counted(server) == (2, 0)
    assert registry.breaker("llm", "one").get_stats()["total_successes"] == 2
    await registry.aclose()


async def test_successes_are_exact_after_flush(server: Server) -> None:
    registry = await started(server)
    await asyncio.gather(*(registry.call("h", "llm", succeed) for _ in range(200)))
    await registry.flush()

    assert counted(server) == (201, 0)
    assert registry.breaker("llm", "one").get_stats()["total_successes"] == 201
    await registry.aclose()


async def test_a_program_that_ends_after_its_call_loses_no_success(server: Server) -> None:
    """Its event loop ends while the reply is on its way."""
    kept: list[ServiceRegistry] = []

    async def program() -> None:
        registry = await started(server)
        await registry.call("h", "llm", succeed)
        kept.append(registry)  # one that is collected without aclose() warns

    await asyncio.to_thread(asyncio.run, program())

    assert counted(server) == (2, 0)


async def test_a_failure_is_counted_when_the_call_returns(server: Server) -> None:
    registry = await started(server, failure_threshold=2)

    async def fail(_: object) -> None:
        raise ConnectionError("down")

    for failures in (1, 2):
        with pytest.raises(ConnectionError):
            await registry.call("h", "llm", fail)
        assert counted(server) == (1, failures)
    assert not registry.breaker("llm", "one").is_available()
    await registry.aclose()


async def test_a_success_that_ends_a_streak_is_counted_when_the_call_returns(
    server: Server,
) -> None:
    registry = await started(server, failure_threshold=5)
    await registry.breaker("llm", "one").arecord_failure()

    assert await registry.call("h", "llm", succeed) == "yes"

    assert registry.breaker("llm", "one").failure_count == 0
    assert counted(server) == (2, 1)
    await registry.aclose()


async def test_a_success_whose_reply_is_lost_counts_at_most_once(server: Server) -> None:
    registry = await started(server)

    async def freeze(_: object) -> None:
        server.freeze()

    await registry.call("h", "llm", freeze)
    server.kill()
    server.start()
    await registry.flush()
    await registry.call("h", "llm", succeed)
    await registry.flush()

    successes, failures = counted(server)
    assert (successes <= 3, failures) == (True, 0)
    await registry.aclose()


@pytest.mark.parametrize("lost", ["the scripts", "the breaker"])
async def test_a_success_that_redis_did_not_understand_counts_once(
    server: Server, lost: str
) -> None:
    registry = await started(server)

    async def lose(_: object) -> None:
        with redis.Redis.from_url(server.url) as client:
            client.script_flush() if lost == "the scripts" else client.delete(BREAKER)

    await registry.call("h", "llm", lose)
    await registry.flush()

    assert counted(server) == (2 if lost == "the scripts" else 1, 0)
    await registry.aclose()
