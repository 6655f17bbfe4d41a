"""A factory that fails or hangs is an attempt that failed: counted, and followed by the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitBreakerConfig, CircuitState, ServiceRegistry

if TYPE_CHECKING:
    from ciris_registry import Registration

CONFIG = CircuitBreakerConfig(timeout_duration=0.1, failure_threshold=3)


async def ask(instance: Any) -> Any:
    return instance


@pytest.fixture
def made(registry: ServiceRegistry) -> list[str]:
    """A provider whose factory waits for what ``made`` says, before one that is well."""
    made: list[str] = []

    async def make(_registration: Registration) -> object:
        made.append("made")
        if registry.namespace:
            await asyncio.sleep(0.01)
        raise ConnectionError("nobody there")

    registry.register_global("llm", factory=make, name="lazy", circuit_breaker_config=CONFIG)
    registry.register_global("llm", "well", name="well")
    return made


async def test_a_factory_that_fails_opens_the_breaker_and_is_not_called_by_each_call(
    registry: ServiceRegistry, made: list[str]
) -> None:
    for _ in range(8):
        assert await registry.call("h", "llm", ask) == "well"

    assert len(made) == 3
    assert registry.breaker("llm", "lazy").state is CircuitState.OPEN


async def test_calls_that_wait_for_one_factory_count_its_failure_once(
    registry: ServiceRegistry, made: list[str]
) -> None:
    await asyncio.gather(*(registry.call("h", "llm", ask) for _ in range(5)))

    assert len(made) == 1
    assert (await registry.breaker("llm", "lazy").aget_stats())["total_failures"] == 1


async def test_resolving_counts_no_failure_of_a_factory(
    registry: ServiceRegistry, made: list[str]
) -> None:
    assert await registry.get_service("h", "llm") == "well"

    assert made
    assert (await registry.breaker("llm", "lazy").aget_stats())["total_failures"] == 0


async def test_a_factory_that_hangs_is_ended(registry: ServiceRegistry) -> None:
    ended: list[str] = []

    async def hang(_registration: Registration) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("ended")

    registry.register_global("llm", factory=hang, name="lazy", circuit_breaker_config=CONFIG)
    registry.register_global("llm", "well", name="well")

    assert await asyncio.wait_for(registry.call("h", "llm", ask), 5) == "well"
    assert ended == ["ended"]
    assert (await registry.breaker("llm", "lazy").aget_stats())["total_failures"] == 1


async def test_a_probe_whose_factory_fails_opens_the_breaker_again(
    registry: ServiceRegistry, made: list[str]
) -> None:
    breaker = registry.breaker("llm", "lazy")
    await registry.flush()
    for _ in range(3):
        await breaker.arecord_failure()
    known = registry._parts.breakers.of("llm", "lazy")
    known.apply_optimistically(lambda state, now: setattr(state, "retry_at", now))

    assert await registry.call("h", "llm", ask) == "well"
    assert not known.known.permits


async def test_a_factory_whose_provider_limits_its_callers_cools_it_down(
    registry: ServiceRegistry,
) -> None:
    class LimitedError(Exception):
        status_code, headers = 429, {"retry-after": "30"}

    async def limited(_registration: Registration) -> None:
        raise LimitedError

    registry.register_global("llm", factory=limited, name="lazy")
    registry.register_global("llm", "well", name="well")

    assert await registry.call("h", "llm", ask) == "well"
    assert (await registry.explain("h", "llm"))[-1].reason == "cooling_down"
