"""Defects that guarded calls once had, each named after its effect on the caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import (
    CallTimeoutError,
    CircuitBreakerConfig,
    Classification,
    DeadlineExceededError,
    NoProviderError,
    RegistrySettings,
    ServiceRegistry,
    cooldown,
)
from ciris_registry.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    New = Callable[..., ServiceRegistry]

SHORT = 0.05


class Model:
    """A provider."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached = asyncio.Event()


@pytest.fixture
def registry(new_registry: New) -> ServiceRegistry:
    registry = new_registry(consistency="cached")
    for name in ("a", "b"):
        registry.register_global("llm", Model(name), name=name)
    return registry


async def failures(registry: ServiceRegistry, name: str) -> int:
    await registry.flush()
    stats = await registry.breaker("llm", name).aget_stats()
    return int(stats["total_failures"])


async def replaces_the_cancellation(model: Model) -> str:
    """Raise another error, as a task group whose other task fails while it is cancelled."""
    model.reached.set()
    if model.name == "a":
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("cleaning up failed") from None
    return model.name


async def items_that_replace_the_cancellation(model: Model) -> AsyncIterator[str]:
    yield await replaces_the_cancellation(model)


async def by_call(registry: ServiceRegistry) -> object:
    return await registry.call("h", "llm", replaces_the_cancellation)


async def by_stream(registry: ServiceRegistry) -> object:
    return [one async for one in registry.stream("h", "llm", items_that_replace_the_cancellation)]


async def by_acquire(registry: ServiceRegistry) -> object:
    async with registry.acquire("h", "llm") as model:
        return await replaces_the_cancellation(model)


@pytest.mark.parametrize("way", [by_call, by_stream, by_acquire])
async def test_a_cancelled_call_failed_over_and_counted_a_failure(
    registry: ServiceRegistry, way: Callable[[ServiceRegistry], Any]
) -> None:
    first = await registry.get_service("h", "llm")
    task = asyncio.create_task(way(registry))
    await first.reached.wait()
    task.cancel()
    with pytest.raises(ValueError, match="cleaning up failed"):
        await task
    assert await failures(registry, "a") == 0


async def test_a_call_went_on_after_its_deadline(registry: ServiceRegistry) -> None:
    with pytest.raises(DeadlineExceededError):
        await registry.call("h", "llm", replaces_the_cancellation, deadline=SHORT)
    assert await failures(registry, "a") == 0


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_a_reason_that_is_not_unicode_blocked_all_later_writes(
    registry: ServiceRegistry,
) -> None:
    async def fail(_: Model) -> None:
        raise ValueError("sad")

    def judge(_: object) -> Classification:
        return cooldown(60.0, "\ud800 bad")

    with pytest.raises(ValueError, match="sad"):
        await registry.call("h", "llm", fail, classify=judge)
    registry.breaker("llm", "b").force_open("\udce9t\udce9", 60)
    await registry.flush()
    assert registry.health().pending_writes == 0
    stats = await registry.breaker("llm", "b").aget_stats()
    assert stats["override"]["reason"] == "?t?"


@pytest.mark.parametrize("ends", [KeyboardInterrupt, asyncio.CancelledError])
async def test_a_policy_that_ends_the_program_kept_a_slot(
    new_registry: New, ends: type[BaseException]
) -> None:
    registry = new_registry(consistency="cached")
    registry.register_global("llm", Model("a"), name="a", max_in_flight=1)

    def judge(_: object) -> Classification:
        raise ends

    async def work(model: Model) -> str:
        return model.name

    with pytest.raises(ends):
        await registry.call("h", "llm", work, classify=judge)
    assert registry._parts.breakers.of("llm", "a").in_flight == 0
    assert await registry.call("h", "llm", work) == "a"


async def test_half_of_the_calls_in_sequence_were_refused(
    new_registry: New,
) -> None:
    """The slot of the last call was still being released."""
    registry = new_registry(consistency="cached")
    registry.register_global("llm", Model("a"), name="a", max_in_flight=1)

    async def work(model: Model) -> str:
        return model.name

    for _ in range(50):
        assert await registry.call("h", "llm", work) == "a"


async def test_an_error_that_accepts_no_note_was_replaced(registry: ServiceRegistry) -> None:
    @dataclass(frozen=True)
    class ApiError(Exception):
        """As some clients declare theirs."""

        code: int

    async def fail(_: Model) -> None:
        raise ApiError(7)

    with pytest.raises(ApiError):
        await registry.call("h", "llm", fail)


async def test_an_error_that_is_raised_repeatedly_collected_notes(
    registry: ServiceRegistry,
) -> None:
    error = ValueError("the same one")

    async def fail(_: Model) -> None:
        raise error

    for _ in range(3):
        with pytest.raises(ValueError, match="the same one"):
            await registry.call("h", "llm", fail)
    assert len(getattr(error, "__notes__", [])) == 1


async def test_closing_during_a_call_replaced_the_providers_error(
    registry: ServiceRegistry,
) -> None:
    async def fail(_: Model) -> None:
        await registry.aclose()
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await registry.call("h", "llm", fail)


async def test_a_stream_of_an_iterable_object_was_not_closed(registry: ServiceRegistry) -> None:
    closed: list[str] = []

    class Stream:
        """As clients have them."""

        async def __aiter__(self) -> AsyncIterator[int]:
            yield 1
            yield 2

        async def aclose(self) -> None:
            closed.append("closed")

    items = registry.stream("h", "llm", lambda _: Stream())
    assert await anext(items) == 1
    await items.aclose()
    assert closed == ["closed"]


async def test_calls_hung_when_the_registry_was_closed_during_them(
    new_registry: New,
) -> None:
    async def work(model: Model) -> str:
        return model.name

    for turns in range(12):
        registry = new_registry(settings=RegistrySettings(store_timeout=5.0))
        registry.register_global("llm", Model("a"), name="a")
        await registry.flush()
        calls = [asyncio.create_task(registry.call("h", "llm", work)) for _ in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await registry.aclose()
        async with asyncio.timeout(5):
            found = await asyncio.gather(*calls, return_exceptions=True)
        ended = {type(one) for one in found}
        assert ended <= {str, ClosedError, NoProviderError, asyncio.CancelledError}, found


async def test_a_probe_that_was_answered_late_left_the_breaker_half_open(
    new_registry: New,
) -> None:
    """A probe that ignored its cancellation is not a success."""
    registry = new_registry(consistency="cached")
    config = CircuitBreakerConfig(
        failure_threshold=1, recovery_timeout=0.01, success_threshold=1, timeout_duration=0.5
    )
    registry.register_global("llm", Model("a"), name="a", circuit_breaker_config=config)
    await registry.breaker("llm", "a").arecord_failure()
    await asyncio.sleep(0.02)

    async def ignore(_: Model) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "made up"
        return "in time"

    assert await registry.call("h", "llm", ignore) == "made up"
    stats = await registry.breaker("llm", "a").aget_stats()
    assert stats["total_successes"] == 0
    assert stats["state"] in {"open", "half_open"}


async def test_the_error_that_opened_a_breaker_was_not_logged(
    registry: ServiceRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """Failover hides an expired key as well as it hides an outage."""
    caplog.set_level("DEBUG", "ciris_registry")

    async def ask(model: Model) -> str:
        if model.name == "a":
            raise ConnectionError("the key has expired")
        return "an answer"

    for _ in range(6):
        assert await registry.call("h", "llm", ask) == "an answer"
    await registry.flush()
    messages = [one.getMessage() for one in caplog.records]
    assert messages.count("a call of a raised ConnectionError('the key has expired'): failure") == 5
    [opened] = [one for one in messages if "is open" in one]
    assert opened == (
        "the breaker of llm a is open, for the whole fleet; "
        "its last failure here was ConnectionError('the key has expired')"
    )
    await registry.breaker("llm", "a").areset("mended")


@pytest.mark.parametrize("state", ["closed", "half_open"])
async def test_an_error_whose_repr_raises_kept_its_slot_and_its_permit(
    new_registry: New, state: str
) -> None:
    class NamelessError(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    registry = new_registry(consistency="cached")
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.01)
    registry.register_global(
        "llm", Model("a"), name="a", max_in_flight=1, circuit_breaker_config=config
    )
    if state == "half_open":
        await registry.breaker("llm", "a").arecord_failure()
        await asyncio.sleep(0.02)

    async def fail(_: Model) -> None:
        raise NamelessError

    with pytest.raises(NamelessError):
        await registry.call("h", "llm", fail)
    await registry.flush()
    assert registry._parts.breakers.of("llm", "a").in_flight == 0
    assert await failures(registry, "a") == 1 + (state == "half_open")
    store = await registry._session.store()
    key = store.keys("llm").slots("a")
    assert await store._transport.ask("ZCARD", key) == 0
    _, permits, _ = await store.breakers.read("llm", "a")
    assert permits == {}


async def test_a_namesake_of_another_service_type_was_blamed_for_a_timeout(
    new_registry: New,
) -> None:
    registry = new_registry(consistency="cached")
    short = CircuitBreakerConfig(timeout_duration=SHORT)
    registry.register_global("llm", Model("a"), name="a")
    registry.register_global("memory", Model("a"), name="a", circuit_breaker_config=short)

    async def forget(_: Model) -> None:
        await asyncio.sleep(60)

    async def remember(_: Model) -> None:
        await registry.call("h", "memory", forget)

    with pytest.raises(CallTimeoutError):
        await registry.call("h", "llm", remember)
    memory = await registry.breaker("memory", "a").aget_stats()
    assert memory["total_failures"] == 1
    assert await failures(registry, "a") == 0
