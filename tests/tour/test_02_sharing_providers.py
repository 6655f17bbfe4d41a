"""Several processes, one provider: names, joining, bindings, leaving."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

from ciris_registry import CircuitBreakerConfig, Priority, Registration, ServiceRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    New = Callable[..., ServiceRegistry]


class OpenAIClient:
    """A provider."""


async def test_a_chosen_name_is_shared_and_an_automatic_one_is_private(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    assert one.register("h", "llm", OpenAIClient(), name="openai") == "openai"
    assert other.register("h", "llm", OpenAIClient(), name="openai") == "openai"
    assert one.register("h", "llm", OpenAIClient()) != other.register("h", "llm", OpenAIClient())


async def test_a_service_name_is_a_chosen_name_if_it_is_a_string(new_registry: New) -> None:
    registry = new_registry()
    assert registry.register("h", "llm", SimpleNamespace(service_name="gpt")) == "gpt"
    assert registry.register("h", "llm", MagicMock()).startswith("MagicMock_")


async def test_two_objects_of_one_process_never_share_a_breaker_by_accident(
    new_registry: New,
) -> None:
    registry = new_registry()
    twins = [SimpleNamespace(service_name="gpt") for _ in range(2)]
    assert [registry.register("h", "llm", twin) for twin in twins] == ["gpt", "gpt_2"]
    names = {registry.register("h", "llm", OpenAIClient()) for _ in range(5)}
    assert len(names) == 5


async def test_replicas_of_one_program_share_their_providers_when_named_by_class(
    new_registry: New,
) -> None:
    for _ in range(2):
        replica = new_registry(naming="by_class")
        clients = [OpenAIClient(), OpenAIClient()]
        names = [replica.register("h", "llm", client) for client in clients]
        assert names == ["OpenAIClient", "OpenAIClient_2"]
        assert await replica.get_service("h", "llm") is clients[0]


async def test_the_newest_settings_win_and_both_sides_are_warned_once(
    new_registry: New, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = new_registry(), new_registry()
    one.register("h", "llm", OpenAIClient(), name="shared", priority=Priority.LOW)
    await one.flush()
    subscription = one.events("llm")
    await one.flush()
    with caplog.at_level(logging.WARNING):
        other.register("h", "llm", OpenAIClient(), name="shared", priority=Priority.HIGH)
        await other.flush()
        await one.get_service("h", "llm")
        await one.get_service("h", "llm")
    event = await anext(subscription)
    assert (event.kind, event.actor) == ("provider_changed", other.process_id)
    assert event.details["fields"] == "priority"
    [listed] = one.get_provider_info()["handlers"]["h"]["llm"]
    assert listed["priority"] == "HIGH"
    warned = [record.message for record in caplog.records if "conflicting" in record.message]
    assert len(warned) == 2


async def test_registering_again_never_resets_a_breaker(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    config = CircuitBreakerConfig(failure_threshold=1)
    one.register("h", "llm", OpenAIClient(), name="shared", circuit_breaker_config=config)
    await one.breaker("llm", "shared").arecord_failure()
    other.register("h", "llm", OpenAIClient(), name="shared")
    assert await other.get_service("h", "llm") is None


async def test_a_process_uses_what_others_registered_through_a_binding(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    one.register("h", "llm", OpenAIClient(), name="a", metadata={"url": "http://a"})
    one.register("h", "llm", OpenAIClient(), name="b", priority=Priority.LOW)
    await one.flush()
    assert await other.get_service("h", "llm") is None
    assert {line.reason for line in await other.explain("h", "llm")} == {
        "no binding here: this process has no instance and no factory for it"
    }
    made: list[Registration] = []

    def make(record: Registration) -> SimpleNamespace:
        made.append(record)
        return SimpleNamespace(of=record.name)

    other.bind("llm", factory=make)
    assert (await other.get_service("h", "llm")).of == "a"
    assert (await other.get_service("h", "llm")).of == "a"
    assert [(one.name, one.metadata) for one in made] == [("a", {"url": "http://a"})]
    mine = OpenAIClient()
    other.bind("a", mine)
    assert await other.get_service("h", "llm") is mine


async def test_concurrent_resolves_share_one_call_of_a_factory(new_registry: New) -> None:
    registry, calls = new_registry(), 0

    async def make(_: Registration) -> OpenAIClient:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return OpenAIClient()

    registry.register("h", "llm", factory=make, name="lazy")
    got = await asyncio.gather(*(registry.get_service("h", "llm") for _ in range(20)))
    assert calls == 1
    assert len(set(map(id, got))) == 1


async def test_a_provider_whose_factory_fails_is_rejected_and_tried_again(
    new_registry: New,
) -> None:
    registry, spare = new_registry(), OpenAIClient()
    answers: list[Any] = [OSError("no network"), OpenAIClient()]

    def make(_: Registration) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    registry.register("h", "llm", factory=make, name="lazy")
    registry.register("h", "llm", spare, priority=Priority.LOW, name="spare")
    assert await registry.get_service("h", "llm") is spare
    assert await registry.get_service("h", "llm") is not spare
    assert registry.breaker("llm", "lazy").get_stats()["failure_count"] == 0


async def test_a_weak_registration_ends_with_its_object(new_registry: New) -> None:
    registry, watcher = new_registry(), new_registry()
    client = OpenAIClient()
    registry.register("h", "llm", client, weak=True, name="weak")
    assert await registry.get_service("h", "llm") is client
    del client
    assert registry.get_services_by_type("llm") == []
    await registry.flush()
    assert (await watcher.aget_provider_info())["handlers"] == {}


async def test_anything_may_be_a_provider(new_registry: New) -> None:
    registry = new_registry()
    for provider in (AsyncMock(), SimpleNamespace(), asyncio.Lock(), object(), print, {"a": 1}):
        name = registry.register("h", f"kind.{type(provider).__name__}", provider)
        assert name
        got = await registry.get_service("h", f"kind.{type(provider).__name__}")
        assert got is provider


async def test_leaving_ends_only_the_membership_of_the_process(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    for registry in (one, other):
        registry.register("h", "llm", OpenAIClient(), name="shared")
        await registry.flush()
    assert await one.aunregister("shared")
    assert not one.unregister("shared")
    assert await one.get_service("h", "llm") is None
    assert await other.get_service("h", "llm") is not None
    assert await other.aunregister("shared")
    assert (await one.aget_provider_info())["handlers"] == {}


async def test_clear_all_unregisters_everything_of_the_process(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    one.register("h", "llm", OpenAIClient(), name="mine")
    one.register_global("memory", OpenAIClient(), name="store")
    other.register("h", "llm", OpenAIClient(), name="theirs")
    await one.flush()
    await other.flush()
    await one.aclear_all()
    info = await other.aget_provider_info()
    assert [one["name"] for one in info["handlers"]["h"]["llm"]] == ["theirs"]
    assert info["global_services"] == {}


async def test_wait_ready_wakes_when_another_process_registers(new_registry: New) -> None:
    waiting, other = new_registry(required_services=["llm"]), new_registry()
    waiting.bind("llm", OpenAIClient())
    waiter = asyncio.create_task(waiting.wait_ready(timeout=5.0))
    await asyncio.sleep(0.05)
    assert not waiter.done()
    other.register("h", "llm", OpenAIClient(), name="late")
    await other.flush()
    assert await asyncio.wait_for(waiter, 0.8)


async def test_wait_ready_returns_false_after_its_timeout(new_registry: New) -> None:
    registry = new_registry()
    registry.register_global("llm", OpenAIClient())
    assert await registry.wait_ready(timeout=0.05, service_types=["llm"])
    assert not await registry.wait_ready(timeout=0.05)


async def test_events_report_each_change_once_with_its_actor(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    subscription = other.events()
    await other.flush()
    config = CircuitBreakerConfig(failure_threshold=2)
    one.register("h", "llm", OpenAIClient(), name="a", circuit_breaker_config=config)
    breaker = one.breaker("llm", "a")
    breaker.record_failure()
    breaker.record_failure()
    breaker.record_failure()
    await one.flush()
    await breaker.aforce_close("tested by hand")
    await breaker.aclear_override()
    await one.aunregister("a")
    kinds: list[str] = []
    async for event in subscription:
        if event.service_type:  # else it is about a process
            kinds.append(event.kind)
        if event.kind == "provider_unregistered":
            break
    assert kinds == [
        "provider_registered",
        "breaker_streak_warning",
        "breaker_opened",
        "breaker_forced_closed",
        "breaker_override_cleared",
        "provider_unregistered",
    ]


async def test_processes_that_register_in_different_orders_share_one_order(
    new_registry: New,
) -> None:
    one, other = new_registry(), new_registry()
    for registry, names in ((one, "pq"), (other, "qp")):
        await registry.get_service("h", "llm")
        for name in names:
            registry.register("h", "llm", SimpleNamespace(is_called=name), name=name)
    for registry in (one, other):
        assert (await registry.get_service("h", "llm")).is_called == "p"


async def test_a_process_that_leaves_a_shared_provider_still_sees_its_registration(
    new_registry: New,
) -> None:
    one, other = new_registry(), new_registry()
    one.register("h", "llm", OpenAIClient(), name="x")
    await one.get_service("h", "llm")
    other.register("h", "llm", OpenAIClient(), name="x")
    await other.flush()
    mine = OpenAIClient()
    one.bind("llm", mine)
    one.unregister("x")
    assert await one.get_service("h", "llm") is mine
