"""A stream may be limited to its first item more closely than later on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ciris_registry import CircuitBreakerConfig, CircuitState, ServiceRegistry
from ciris_registry.errors import CallTimeoutError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONFIG = CircuitBreakerConfig(
    failure_threshold=3, timeout_duration=5.0, first_item_timeout=0.05, failure_rate_threshold=None
)


class Stream:
    """Yields three words after pauses, in seconds."""

    def __init__(self, first: float, others: float = 0.0) -> None:
        self._pauses = (first, others, others)

    async def words(self) -> AsyncIterator[float]:
        for pause in self._pauses:
            await asyncio.sleep(pause)
            yield pause


async def read(registry: ServiceRegistry) -> list[float]:
    return [one async for one in registry.stream("h", "llm", Stream.words)]


async def test_a_provider_that_accepts_and_sends_nothing_is_left_and_opens(
    registry: ServiceRegistry,
) -> None:
    registry.register_global("llm", Stream(60), name="silent", circuit_breaker_config=CONFIG)
    registry.register_global("llm", Stream(0), name="well")

    for _ in range(3):
        assert await read(registry) == [0, 0, 0]

    assert registry.breaker("llm", "silent").state is CircuitState.OPEN


async def test_later_items_have_the_whole_time(registry: ServiceRegistry) -> None:
    registry.register_global("llm", Stream(0, 0.1), name="slow", circuit_breaker_config=CONFIG)

    assert await read(registry) == [0, 0.1, 0.1]


async def test_the_error_says_how_long_it_waited(registry: ServiceRegistry) -> None:
    registry.register_global("llm", Stream(60), name="silent", circuit_breaker_config=CONFIG)

    with pytest.raises(CallTimeoutError) as raised:
        await read(registry)

    assert raised.value.seconds == 0.05


async def test_all_processes_go_by_it(registry: ServiceRegistry) -> None:
    registry.register_global("llm", Stream(0), name="one", circuit_breaker_config=CONFIG)
    await registry.refresh()

    assert registry.breaker("llm", "one").config == CONFIG


@pytest.mark.parametrize("wrong", [0, -1, "1", True])
def test_a_wrong_time_is_refused(wrong: float) -> None:
    with pytest.raises(SettingsError, match="first_item_timeout"):
        CircuitBreakerConfig(first_item_timeout=wrong)
