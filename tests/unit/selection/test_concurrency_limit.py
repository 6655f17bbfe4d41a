"""Slots: one round trip for a call of a limited provider, none for other calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import (
    NoProviderError,
    Priority,
    RegistrySettings,
    SelectionStrategy,
    ServiceRegistry,
)
from ciris_registry.errors import IndeterminateWriteError
from ciris_registry.store.records.slots import SlotStore
from ciris_registry.store.script_runner import ScriptRunner
from tests.running import QUIETLY, run
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

CALM = RegistrySettings(
    lease=3600.0, store_timeout=5.0, max_staleness=60.0, success_report_interval=60.0
)


class Client:
    """A provider."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def work(self) -> str:
        await asyncio.sleep(0)
        return self.name

    async def hang(self) -> None:
        await asyncio.sleep(600)


def register(registry: ServiceRegistry, name: str, most: int | None, **options: Any) -> None:
    registry.register("h", "llm", Client(name), name=name, max_in_flight=most, **options)


async def work(registry: ServiceRegistry) -> str:
    return await registry.call("h", "llm", Client.work)


async def start_call(registry: ServiceRegistry) -> asyncio.Task[None]:
    """A call that goes on until it is cancelled."""
    before = registry._parts.concurrency_limit.held("llm", "p")
    task = asyncio.create_task(registry.call("h", "llm", Client.hang))
    await async_wait_until(lambda: registry._parts.concurrency_limit.held("llm", "p") > before)
    return task


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def taken(registry: ServiceRegistry, name: str = "p") -> set[str]:
    """The slots that Redis has."""
    store = await registry._session.store()
    key = store.keys("llm").slots(name)
    return set(await store._transport.ask("ZRANGE", key, 0, -1))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every script that is called, by name."""
    called: list[str] = []
    run = ScriptRunner.run

    async def noted(calls: ScriptRunner, script: str, *args: Any, **options: Any) -> Any:
        called.append(script)
        return await run(calls, script, *args, **options)

    monkeypatch.setattr(ScriptRunner, "run", noted)
    return called


async def test_only_calls_of_a_limited_provider_take_a_slot(
    new_registry: New, scripts: list[str]
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    strategy = SelectionStrategy.ROUND_ROBIN
    for name, most in (("p", 3), ("q", None), ("r", None)):
        register(registry, name, most, strategy=strategy)
    for _ in range(200):
        await work(registry)  # long blocks of positions are leased from now on
    await registry.flush()
    scripts.clear()

    got = [await work(registry) for _ in range(30)]
    await registry.flush()

    assert [got.count(name) for name in "pqr"] == [10, 10, 10]
    assert scripts.count("slot_take") == 10
    assert 1 <= scripts.count("slot_release") <= 10
    assert set(scripts) <= {"slot_take", "slot_release", "cursor_take", "breaker_record_successes"}


@pytest.mark.parametrize("strategy", [SelectionStrategy.WEIGHTED, SelectionStrategy.LEAST_LOADED])
async def test_resolves_and_unlimited_calls_use_the_picker_alone(
    new_registry: New,
    scripts: list[str],
    strategy: SelectionStrategy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    for name, weight in (("p", 1), ("q", 2), ("r", 3)):
        register(registry, name, None, strategy=strategy, weight=weight)
    for _ in range(200):
        await registry.get_service("h", "llm")
    await registry.flush()
    await asyncio.sleep(0.05)
    scripts.clear()
    admitted: list[object] = []
    admit = registry._parts.resolver.admit

    async def noted(*args: Any, **options: Any) -> Any:
        admitted.append(args)
        return await admit(*args, **options)

    monkeypatch.setattr(registry._parts.resolver, "admit", noted)
    for _ in range(15):
        await registry.get_service("h", "llm")
        await work(registry)
        await asyncio.sleep(
            0.005
        )  # as calls do: the reply with the next block is read in that time
    assert admitted == []
    assert set(scripts) <= {"cursor_take"}


async def test_a_full_provider_is_rejected_with_its_reason(new_registry: New) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 1, priority=Priority.HIGH)
    task = await start_call(registry)
    with pytest.raises(NoProviderError) as refused:
        await work(registry)
    assert [(one.name, one.reason) for one in refused.value.reasons] == [("p", "full")]
    assert refused.value.retry_after is None, "the slot is held until its call ends"
    assert str(refused.value).endswith("p (full)")

    register(registry, "q", None)
    assert await work(registry) == "q"
    [first, _] = await registry.explain("h", "llm")
    assert first.reason == "in order, in a guarded call if one of its 1 slots is free"
    await ended(task)
    await registry.flush()
    assert await work(registry) == "p"


async def test_many_calls_at_once_release_all_their_slots(
    new_registry: New, scripts: list[str]
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 100)
    await asyncio.gather(*(work(registry) for _ in range(100)))
    await registry.flush()
    assert await taken(registry) == set()
    assert scripts.count("slot_take") == 100
    assert scripts.count("slot_release") < 50, "releases that wait share one script call"


async def test_a_slot_that_is_granted_after_the_timeout_is_released(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 1)
    await work(registry)
    await registry.flush()
    for task in list(registry._session._tasks):
        if "_supervised" in str(task.get_coro()):
            task.cancel()  # the watcher would find Redis connected
    take, late = SlotStore.take, asyncio.Event()

    async def slow(stored: SlotStore, *args: Any) -> Any:
        answer = await take(stored, *args)
        await late.wait()
        return answer

    monkeypatch.setattr(SlotStore, "take", slow)
    monkeypatch.setattr(registry._parts.connectivity.round_trip, "wait", 0.02)
    task = await start_call(registry)
    with pytest.raises(NoProviderError, match="full"):
        await work(registry)
    assert len(await taken(registry)) == 1
    late.set()
    registry._parts.connectivity.mark_connected()
    await async_wait_until(lambda: taken_now(registry, set()))
    await ended(task)


async def taken_now(registry: ServiceRegistry, wanted: set[str]) -> bool:
    return await taken(registry) == wanted


async def test_a_slot_whose_reply_was_lost_is_released(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis may have granted it or not: it is released, and would end with its lease."""
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 1)
    await registry.flush()
    take = SlotStore.take

    async def lost(stored: SlotStore, *args: Any) -> Any:
        await take(stored, *args)
        monkeypatch.setattr(SlotStore, "take", take)
        raise IndeterminateWriteError("here", "a test")

    monkeypatch.setattr(SlotStore, "take", lost)
    assert await work(registry) == "p"
    assert await registry._parts.connectivity.wait_connected(5.0)
    await registry.flush()
    await async_wait_until(lambda: taken_now(registry, set()))
    assert registry._parts.concurrency_limit.held("llm", "p") == 0


async def test_a_release_that_a_heartbeat_overtakes_is_repeated(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 1)
    await registry.flush()
    task = await start_call(registry)
    renew = SlotStore.renew

    async def overtaken(stored: SlotStore, service_type: str, held: Any) -> None:
        await ended(task)
        await registry.flush()
        assert await taken(registry) == set()
        await renew(stored, service_type, held)
        assert len(await taken(registry)) == 1

    monkeypatch.setattr(SlotStore, "renew", overtaken)
    await registry._parts.concurrency_limit.renew(await registry._session.store(), "llm")
    await registry.flush()
    assert await taken(registry) == set()


def test_slots_of_an_event_loop_that_ended_are_not_renewed(url: str) -> None:
    assert run("slots_outlive_their_event_loop", url) == QUIETLY


def test_memory_does_not_grow_with_the_number_of_calls(real_url: str) -> None:
    assert run("limited_calls_keep_nothing", real_url) == QUIETLY


async def test_provider_info_shows_weight_and_max_in_flight(new_registry: New) -> None:
    registry = new_registry()
    register(registry, "p", 7, weight=3)
    register(registry, "q", None)
    await registry.flush()
    other = new_registry()
    info = (await other.aget_provider_info())["handlers"]["h"]["llm"]
    shown = [(one["name"], one["weight"], one["max_in_flight"]) for one in info]
    assert shown == [("p", 3, 7), ("q", 1, None)]


async def test_least_loaded_counts_the_calls_of_other_processes_from_the_last_reply(
    new_registry: New,
) -> None:
    """One process has five calls at p and none at q; the reply to a second process says so."""
    busy, other = (new_registry(settings=CALM, consistency="cached") for _ in range(2))
    for registry in (busy, other):
        for name in ("p", "q"):
            register(registry, name, 10, strategy=SelectionStrategy.LEAST_LOADED)
        await registry.flush()
        await registry.refresh()
    await busy.breaker("llm", "q").aforce_open("a test", 60)
    holding = [await start_call(busy) for _ in range(5)]
    await busy.breaker("llm", "q").aclear_override()
    await other.refresh()

    got = [await work(other) for _ in range(20)]

    assert got.count("p") <= 1, "the first reply reports the load"
    for task in holding:
        await ended(task)
