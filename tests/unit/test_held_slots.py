"""The slots that a process holds: one round trip for a call that needs one, and none for others."""

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
from ciris_registry.store.script_runner import ScriptRunner
from ciris_registry.store.slots import SlotStore
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


async def hold(registry: ServiceRegistry) -> asyncio.Task[None]:
    """A call that goes on until it is cancelled."""
    before = registry._parts.concurrency_limit.held("llm", "p")
    task = asyncio.create_task(registry.call("h", "llm", Client.hang))
    await async_wait_until(lambda: registry._parts.concurrency_limit.held("llm", "p") > before)
    return task


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def taken(registry: ServiceRegistry, name: str = "p") -> set[str]:
    """What Redis has."""
    store = await registry._session.store()
    key = store.keys("llm").slots(name)
    return set(await store._transport.command(lambda redis: redis.zrange(key, 0, -1)))


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


async def test_only_calls_of_a_limited_provider_ask(new_registry: New, scripts: list[str]) -> None:
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
async def test_resolves_and_unlimited_calls_are_look_ups(
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
    walked: list[object] = []
    admit = registry._resolver.admit

    async def noted(*args: Any, **options: Any) -> Any:
        walked.append(args)
        return await admit(*args, **options)

    monkeypatch.setattr(registry._resolver, "admit", noted)
    for _ in range(15):
        await registry.get_service("h", "llm")
        await work(registry)
        await asyncio.sleep(0.005)  # as calls do: what was leased ahead is read meanwhile
    assert walked == []
    assert set(scripts) <= {"cursor_take"}


async def test_one_that_is_full_is_passed_over_and_the_reason_is_told(new_registry: New) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 1, priority=Priority.HIGH)
    task = await hold(registry)
    with pytest.raises(NoProviderError) as nobody:
        await work(registry)
    assert [(one.name, one.reason) for one in nobody.value.reasons] == [("p", "full")]
    assert nobody.value.retry_after is None, "the one who holds it lives"
    assert str(nobody.value).endswith("p (full)")

    register(registry, "q", None)
    assert await work(registry) == "q"
    [first, _] = await registry.explain("h", "llm")
    assert first.reason == "in order, in a guarded call if one of its 1 slots is free"
    await ended(task)
    await registry.flush()
    assert await work(registry) == "p"


async def test_every_call_of_many_at_once_gives_its_slot_back(
    new_registry: New, scripts: list[str]
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 100)
    await asyncio.gather(*(work(registry) for _ in range(100)))
    await registry.flush()
    assert await taken(registry) == set()
    assert scripts.count("slot_take") == 100
    assert scripts.count("slot_release") < 50, "those that wait share one call"


async def test_who_gives_up_waiting_goes_on_by_himself_and_gives_back_what_comes_late(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 1)
    await work(registry)
    await registry.flush()
    for task in list(registry._session._tasks):
        if "_supervised" in str(task.get_coro()):
            task.cancel()  # what would find out that Redis is there
    take, late = SlotStore.take, asyncio.Event()

    async def slow(stored: SlotStore, *args: Any) -> Any:
        answer = await take(stored, *args)
        await late.wait()
        return answer

    monkeypatch.setattr(SlotStore, "take", slow)
    monkeypatch.setattr(registry._parts.connectivity, "timeout", 0.02)
    task = await hold(registry)
    with pytest.raises(NoProviderError, match="full"):
        await work(registry)
    assert len(await taken(registry)) == 1
    late.set()
    registry._parts.connectivity.mark_connected()
    await async_wait_until(lambda: taken_now(registry, set()))
    await ended(task)


async def taken_now(registry: ServiceRegistry, wanted: set[str]) -> bool:
    return await taken(registry) == wanted


async def test_an_answer_that_is_lost_leaves_nothing_taken(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Redis has taken it nobody knows: it is given back, and would run out anyway."""
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


async def test_a_return_that_a_heartbeat_overtakes_is_made_again(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = new_registry(settings=CALM, consistency="cached")
    register(registry, "p", 1)
    await registry.flush()
    task = await hold(registry)
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


def test_nothing_grows_with_the_number_of_calls(real_url: str) -> None:
    assert run("limited_calls_keep_nothing", real_url) == QUIETLY


async def test_it_is_shown_where_registrations_are_shown(new_registry: New) -> None:
    registry = new_registry()
    register(registry, "p", 7, weight=3)
    register(registry, "q", None)
    await registry.flush()
    other = new_registry()
    info = (await other.aget_provider_info())["handlers"]["h"]["llm"]
    shown = [(one["name"], one["weight"], one["max_in_flight"]) for one in info]
    assert shown == [("p", 3, 7), ("q", 1, None)]


async def test_the_fleets_calls_count_as_far_as_they_were_told(new_registry: New) -> None:
    """One process has five calls at the one, and none at the other; a second one is told so."""
    busy, other = (new_registry(settings=CALM, consistency="cached") for _ in range(2))
    for registry in (busy, other):
        for name in ("p", "q"):
            register(registry, name, 10, strategy=SelectionStrategy.LEAST_LOADED)
        await registry.flush()
        await registry.refresh()
    await busy.breaker("llm", "q").aforce_open("a test", 60)
    holding = [await hold(busy) for _ in range(5)]
    await busy.breaker("llm", "q").aclear_override()
    await other.refresh()

    got = [await work(other) for _ in range(20)]

    assert got.count("p") <= 1, "it asks once, and knows"
    for task in holding:
        await ended(task)
