"""How a program adopts guarded calls: streams of items, and a proxy in place of a client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from ciris_registry import CircuitBreakerConfig, NoProviderError, ServiceRegistry
from ciris_registry.errors import NotAwaitableError, ProxyError
from tests.tour.models import Model, Sad, counts, source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    New = Callable[..., ServiceRegistry]

SLOW = CircuitBreakerConfig(failure_threshold=100, timeout_duration=0.05)


@pytest.fixture
def registry(new_registry: New) -> ServiceRegistry:
    """A registry of the default mode."""
    return new_registry(consistency="cached")


class TestAStream:
    async def collect(self, stream: AsyncIterator[str]) -> list[str]:
        return [item async for item in stream]

    async def test_a_stream_fails_over_before_the_first_item(
        self, registry: ServiceRegistry
    ) -> None:
        source(registry, Model("a", Sad()), Model("b"))
        stream = registry.stream("h", "llm", Model.tokens, 2)
        assert await self.collect(stream) == ["b0", "b1"]
        assert await counts(registry, "a") == (0, 1)
        assert await counts(registry, "b") == (1, 0)

    async def test_a_stream_does_not_fail_over_after_the_first_item(
        self, registry: ServiceRegistry
    ) -> None:
        source(registry, Model("a"), Model("b"))
        stream = registry.stream("h", "llm", Model.tokens, 3, 1)
        assert await anext(stream) == "a0"
        with pytest.raises(Sad):
            await anext(stream)
        assert await counts(registry, "a") == (0, 1)

    async def test_a_stream_may_be_opened_by_an_awaitable(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a"))
        assert await self.collect(registry.stream("h", "llm", Model.opened, 2)) == ["a0", "a1"]
        assert await self.collect(registry.stream("h", "llm", Model.tokens, 0)) == []

    async def test_a_function_that_returns_no_stream_is_refused(
        self, registry: ServiceRegistry
    ) -> None:
        source(registry, Model("a"))
        wrong: Any = Model.complete
        with pytest.raises(NotAwaitableError, match="no stream"):
            await self.collect(registry.stream("h", "llm", wrong))
        assert await counts(registry, "a") == (0, 0)

    async def test_the_consumers_time_does_not_count(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a"), circuit_breaker_config=SLOW)
        async for _ in registry.stream("h", "llm", Model.tokens, 2):
            await asyncio.sleep(SLOW.timeout_duration * 2)
        assert await counts(registry, "a") == (1, 0)

    async def test_an_error_of_the_consumer_is_not_the_providers(
        self, registry: ServiceRegistry
    ) -> None:
        source(registry, Model("a"))
        stream = registry.stream("h", "llm", Model.tokens, 2)
        assert await anext(stream) == "a0"
        with pytest.raises(Sad):
            await stream.athrow(Sad())
        assert await counts(registry, "a") == (0, 0)

    async def test_the_providers_stream_is_closed(self, registry: ServiceRegistry) -> None:
        closed: list[str] = []

        async def tokens(model: Model) -> AsyncIterator[str]:
            try:
                yield model.name
                raise Sad
            finally:
                closed.append(model.name)

        source(registry, Model("a"))
        stream = registry.stream("h", "llm", tokens)
        await anext(stream)
        await stream.aclose()
        assert closed == ["a"]


class Thinker(Protocol):
    """A client as a program knows it."""

    name: str

    async def complete(self, prompt: str = "") -> str:
        """An answer."""
        ...

    def tokens(self, count: int, broken_at: int = -1) -> AsyncIterator[str]:
        """An answer, word by word."""
        ...

    async def opened(self, count: int) -> AsyncIterator[str]:
        """As above, opened first."""
        ...

    def later(self) -> Awaitable[str]:
        """What can be awaited need not be declared async."""
        ...

    def length(self) -> int:
        """Not asynchronous."""
        ...


class TestAProxy:
    async def test_a_proxy_is_used_like_the_client(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a", Sad()), Model("b"))
        thinker = registry.proxy(Thinker, handler="planner", service_type="llm")
        assert await thinker.complete(prompt="hello") == "b hello"
        assert [one async for one in thinker.tokens(2)] == ["a0", "a1"]
        assert [one async for one in await thinker.opened(count=1)] == ["a0"]
        assert repr(thinker) == "<ThinkerProxy>"
        assert await counts(registry, "a") == (2, 1)

    async def test_a_proxy_may_be_made_before_any_registration(
        self, registry: ServiceRegistry
    ) -> None:
        thinker = registry.proxy(Thinker, handler="planner", service_type="llm", failover=False)
        with pytest.raises(NoProviderError):
            await thinker.complete()
        source(registry, Model("a"))
        assert await thinker.complete() == "a"

    async def test_an_attribute_that_is_not_asynchronous_raises_an_error(
        self, registry: ServiceRegistry
    ) -> None:
        thinker: Any = registry.proxy(Thinker, handler="planner", service_type="llm")
        for name in ("name", "length"):
            with pytest.raises(ProxyError, match=rf"Thinker\.{name} is not asynchronous.*acquire"):
                getattr(thinker, name)
        with pytest.raises(ProxyError, match="does not declare it"):
            _ = thinker.other
        assert not hasattr(thinker, "name")
        with pytest.raises(AttributeError):
            thinker.name = "something"
        wrong: Any = "Thinker"
        with pytest.raises(ProxyError, match="give a Protocol"):
            registry.proxy(wrong, handler="planner", service_type="llm")

    async def test_a_class_serves_as_a_protocol(self, registry: ServiceRegistry) -> None:
        class Better(Model):
            async def complete(self, prompt: str = "") -> str:
                return "better"

        source(registry, Better("a"))
        model = registry.proxy(Better, handler="planner", service_type="llm")
        assert await model.complete() == "better"
        assert [one async for one in model.tokens(1)] == ["a0"]  # inherited

    async def test_a_proxy_has_the_options_of_calls(self, registry: ServiceRegistry) -> None:
        a = Model("a", Sad())
        source(registry, a)
        model = registry.proxy(Model, handler="h", service_type="llm", retry=2, deadline=10)
        assert await model.complete() == "a"
        assert a.asked == 2
