"""A program's own mistake opens no breaker; a provider's wrong answer does."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitBreakerConfig, Classification, Priority, ServiceRegistry
from ciris_registry.calls.messages import _logged
from ciris_registry.circuit_breaker.outcomes import FAILURE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

MISTAKES = (
    TypeError,
    AttributeError,
    NameError,
    KeyError,
    AssertionError,
    ZeroDivisionError,
    NotImplementedError,
    ImportError,
    RecursionError,
)
NAMES = ("openai", "anthropic", "local")


@pytest.fixture(autouse=True)
def _nothing_logged() -> Iterator[None]:
    _logged.clear()
    yield
    _logged.clear()


@pytest.fixture
def three(registry: ServiceRegistry) -> ServiceRegistry:
    """Three providers, in this order."""
    for name, priority in zip(NAMES, (Priority.HIGH, Priority.NORMAL, Priority.LOW), strict=True):
        registry.register_global("llm", name, priority, name=name)
    return registry


async def failures(registry: ServiceRegistry) -> list[int]:
    return [(await registry.breaker("llm", name).aget_stats())["total_failures"] for name in NAMES]


def mistaken(error: type[Exception], *, after: bool) -> Callable[[str], Awaitable[str]]:
    async def before(_name: str) -> str:
        raise error

    async def ask(_name: str) -> str:
        await asyncio.sleep(0)
        raise error

    return ask if after else before


@pytest.mark.parametrize("after", [False, True], ids=["before an await", "after an await"])
@pytest.mark.parametrize("error", MISTAKES, ids=lambda one: one.__name__)
async def test_a_mistake_of_the_program_is_counted_by_no_breaker(
    three: ServiceRegistry, error: type[Exception], after: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        with pytest.raises(error) as raised:
            await three.call("planner", "llm", mistaken(error, after=after))
        assert not getattr(raised.value, "__notes__", [])

    assert await failures(three) == [0, 0, 0]
    lines = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(lines) == (3 if after else 1)  # one for each provider that was asked


async def test_a_mistake_before_an_await_asks_no_other_provider(three: ServiceRegistry) -> None:
    asked: list[str] = []

    async def ask(name: str) -> None:
        asked.append(name)
        raise KeyError("text")

    with pytest.raises(KeyError):
        await three.call("planner", "llm", ask)
    assert asked == ["openai"]


async def read_choice(name: str) -> str:
    """What a program does with an answer that may lack what it should have."""
    await asyncio.sleep(0)
    answer: dict[str, Any] = {"choices": [name]} if name != "openai" else {}
    return str(answer["choices"][0])


async def test_an_answer_that_lacks_what_it_should_have_is_its_providers_failure(
    three: ServiceRegistry,
) -> None:
    for _ in range(5):
        assert await three.call("planner", "llm", read_choice) == "anthropic"

    assert await failures(three) == [5, 0, 0]
    assert not three.breaker("llm", "openai").is_available()


async def test_a_stream_whose_provider_answers_wrongly_goes_on_with_the_next(
    three: ServiceRegistry,
) -> None:
    async def words(name: str) -> Any:
        yield await read_choice(name)

    for _ in range(5):
        assert [one async for one in three.stream("planner", "llm", words)] == ["anthropic"]

    assert await failures(three) == [5, 0, 0]


async def test_a_probe_with_a_wrong_answer_opens_the_breaker_again(
    registry: ServiceRegistry,
) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.05)
    for name in ("openai", "anthropic"):
        registry.register_global("llm", name, name=name, circuit_breaker_config=config)
    breaker = registry.breaker("llm", "openai")
    await breaker.arecord_failure()
    await asyncio.sleep(0.06)

    assert await registry.call("planner", "llm", read_choice) == "anthropic"

    assert (await breaker.aget_stats())["total_failures"] == 2
    assert registry._parts.breakers.of("llm", "openai").known.consecutive_openings == 2


async def test_errors_of_different_types_blame_nobody_and_the_last_is_raised(
    three: ServiceRegistry,
) -> None:
    async def ask(name: str) -> None:
        await asyncio.sleep(0)
        raise {"openai": KeyError, "anthropic": TypeError, "local": ConnectionError}[name](name)

    with pytest.raises(ConnectionError):
        await three.call("planner", "llm", ask)
    assert await failures(three) == [0, 0, 1]


async def test_without_failover_a_mistake_after_an_await_is_ignored(
    three: ServiceRegistry,
) -> None:
    with pytest.raises(KeyError):
        await three.call("planner", "llm", mistaken(KeyError, after=True), failover=False)
    async with three.acquire("planner", "llm") as name:
        assert name == "openai"

    async def block() -> None:
        async with three.acquire("planner", "llm"):
            await asyncio.sleep(0)
            raise KeyError("k")

    with pytest.raises(KeyError):
        await block()
    assert await failures(three) == [0, 0, 0]


async def test_a_policy_is_asked_before_all(three: ServiceRegistry) -> None:
    def policy(_outcome: object) -> Classification:
        return FAILURE

    with pytest.raises(KeyError):
        await three.call("planner", "llm", mistaken(KeyError, after=False), classify=policy)
    assert await failures(three) == [1, 1, 1]


async def test_a_mistake_is_not_tried_again(three: ServiceRegistry) -> None:
    asked: list[str] = []

    async def ask(name: str) -> None:
        asked.append(name)
        await asyncio.sleep(0)
        raise KeyError("k")

    with pytest.raises(KeyError):
        await three.call("planner", "llm", ask, retry=3)
    assert asked == list(NAMES)
