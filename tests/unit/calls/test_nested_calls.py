"""A failure is counted where it happened, however deep, and by nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitBreakerConfig, NoProviderError, ServiceRegistry
from ciris_registry.errors import CallCancelledError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    New = Callable[..., ServiceRegistry]

DEPTH = 3


@pytest.fixture(params=["exact", "cached"])
def nested(request: pytest.FixtureRequest, new_registry: New) -> ServiceRegistry:
    """A provider of each of the types ``level-0`` to ``level-3``."""
    registry = new_registry(consistency=request.param)
    config = CircuitBreakerConfig(timeout_duration=0.2)
    for level in range(DEPTH + 1):
        registry.register_global(
            f"level-{level}", level, name="one", circuit_breaker_config=config if level else None
        )
    return registry


async def failures(registry: ServiceRegistry) -> list[int]:
    found = []
    for level in range(DEPTH + 1):
        stats = await registry.breaker(f"level-{level}", "one").aget_stats()
        found.append(stats["total_failures"])
    return found


class WrappedError(Exception):
    """What a program makes of an error."""


@pytest.mark.parametrize("wrap", ["as it is", "from", "without from"])
async def test_a_failure_three_calls_deep_is_counted_once(
    nested: ServiceRegistry, wrap: str
) -> None:
    async def deeper(level: int) -> None:
        if level == DEPTH:
            raise ConnectionError("down")
        try:
            await nested.call("h", f"level-{level + 1}", deeper)
        except Exception as error:
            if wrap == "as it is":
                raise
            if wrap == "from":
                raise WrappedError from error
            raise WrappedError  # noqa: B904 # as programs do

    with pytest.raises((ConnectionError, WrappedError)):
        await nested.call("h", "level-0", deeper)

    assert await failures(nested) == [0, 0, 0, 1]


async def test_streams_inside_of_calls_are_counted_once(nested: ServiceRegistry) -> None:
    async def words(_level: int) -> AsyncIterator[str]:
        yield "one"
        raise ConnectionError("broken off")

    async def read(_level: int) -> list[str]:
        return [one async for one in nested.stream("h", "level-1", words)]

    with pytest.raises(ConnectionError):
        await nested.call("h", "level-0", read)

    assert await failures(nested) == [0, 1, 0, 0]


async def test_a_timeout_inside_is_no_failure_outside(nested: ServiceRegistry) -> None:
    async def wait(_level: int) -> None:
        await asyncio.sleep(5)

    async def call(_level: int) -> None:
        await nested.call("h", "level-1", wait)

    with pytest.raises(TimeoutError):
        await nested.call("h", "level-0", call)

    assert await failures(nested) == [0, 1, 0, 0]


async def test_having_no_provider_inside_is_no_failure_outside(nested: ServiceRegistry) -> None:
    async def call(_level: int) -> None:
        try:
            await nested.call("h", "nothing", lambda one: one)
        except NoProviderError as error:
            raise WrappedError from error

    with pytest.raises(WrappedError):
        await nested.call("h", "level-0", call)

    assert await failures(nested) == [0, 0, 0, 0]


async def test_a_failure_beside_an_inner_call_is_the_outer_ones(nested: ServiceRegistry) -> None:
    async def well(_level: int) -> str:
        return "yes"

    async def call(_level: int) -> None:
        await nested.call("h", "level-1", well)
        raise ConnectionError("mine")

    with pytest.raises(ConnectionError):
        await nested.call("h", "level-0", call)

    assert await failures(nested) == [1, 0, 0, 0]


async def test_one_error_object_counts_each_time_that_it_is_raised(
    nested: ServiceRegistry,
) -> None:
    error = ConnectionError("the same one")

    async def fail(_level: int) -> None:
        raise error

    async def call(_level: int) -> None:
        await nested.call("h", "level-1", fail)

    for _ in range(3):
        with pytest.raises(ConnectionError):
            await nested.call("h", "level-0", call)
        with pytest.raises(ConnectionError):
            await nested.call("h", "level-2", fail)

    assert await failures(nested) == [0, 3, 3, 0]


async def cancelled_inside(_level: Any) -> None:
    inner = asyncio.ensure_future(asyncio.sleep(10))
    inner.cancel()
    await inner


async def test_a_cancellation_from_inside_is_a_failure_and_fails_over(
    registry: ServiceRegistry,
) -> None:
    registry.register_global("llm", "broken", name="broken")
    registry.register_global("llm", "well", name="well")

    async def ask(name: str) -> str:
        if name == "broken":
            await cancelled_inside(name)
        return name

    assert await registry.call("h", "llm", ask) == "well"
    assert (await registry.breaker("llm", "broken").aget_stats())["total_failures"] == 1
    with pytest.raises(CallCancelledError) as raised:
        await registry.call("h", "llm", cancelled_inside, failover=False)
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    with pytest.raises(CallCancelledError):
        async with registry.acquire("h", "llm"):
            await cancelled_inside(0)
