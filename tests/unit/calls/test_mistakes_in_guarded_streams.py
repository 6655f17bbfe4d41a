"""Defects that guarded streams once had, each named after its effect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ciris_registry import (
    Classification,
    DeadlineExceededError,
    NoProviderError,
    ServiceRegistry,
)
from ciris_registry.circuit_breaker.outcomes import FAILURE
from tests.running import QUIETLY, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    New = Callable[..., ServiceRegistry]


class Model:
    """A provider that counts the streams that are open."""

    def __init__(self, name: str = "a") -> None:
        self.name = name
        self.open = self.most = 0

    async def items(self) -> AsyncIterator[int]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            for number in range(3):
                yield number
        finally:
            await asyncio.sleep(0.02)
            self.open -= 1


def test_an_iterator_that_ends_in_its_first_line_ended_the_interpreter() -> None:
    """``anext`` with a default crashed where ``async for`` works."""
    assert run("streams_of_a_plain_iterator") == QUIETLY


async def test_a_stream_that_its_consumer_left_was_still_open_when_the_next_one_began(
    new_registry: New,
) -> None:
    """A provider with ``max_in_flight=1`` had four streams at once."""
    registry = new_registry(consistency="cached")
    model = Model()
    registry.register_global("llm", model, name="a", max_in_flight=1)

    async def leave_early() -> None:
        stream: Any = registry.stream("h", "llm", Model.items)
        try:
            assert await anext(stream) == 0
        except NoProviderError:
            return
        await stream.aclose()

    for _ in range(4):
        await asyncio.gather(leave_early(), leave_early())

    assert model.most == 1


async def test_a_call_went_on_after_its_deadline_if_its_value_was_a_failure(
    new_registry: New,
) -> None:
    """The function caught its cancellation, and a policy blamed the provider for the value."""
    registry = new_registry(consistency="cached")
    called: list[str] = []
    for name in ("a", "b"):
        registry.register_global("llm", Model(name), name=name)

    async def answer(model: Model) -> str:
        called.append(model.name)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "bad"
        return "good"

    def blame(value: object) -> Classification | None:
        return FAILURE if value == "bad" else None

    try:
        value = await registry.call("h", "llm", answer, deadline=0.5, classify=blame)
    except DeadlineExceededError:
        value = "bad"

    assert (value, called) == ("bad", ["a"])
    await registry.flush()
    assert (await registry.breaker("llm", "a").aget_stats())["total_failures"] == 0
