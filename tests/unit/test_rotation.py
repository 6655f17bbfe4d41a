"""Positions of the fleet's round robin are leased in blocks: each is one process's alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import RegistrySettings, SelectionStrategy, ServiceRegistry
from ciris_registry.selection.round_robin import LARGEST_BLOCK, RoundRobin, RoundRobins
from ciris_registry.store.connection.connectivity import Connectivity
from ciris_registry.store.snapshots import CursorStore

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

CURSOR = "h|0|2"


class Client:
    """A provider."""

    def __init__(self, name: str) -> None:
        self.name = name


def register(registry: ServiceRegistry, names: str) -> None:
    for name in names:
        registry.register(
            "h", "llm", Client(name), name=name, strategy=SelectionStrategy.ROUND_ROBIN
        )


async def resolved(registry: ServiceRegistry, times: int) -> list[str]:
    return [(await registry.get_service("h", "llm")).name for _ in range(times)]


async def settled(registry: ServiceRegistry) -> None:
    """Whatever is being leased in advance has arrived."""
    leasing = registry._resolver._round_robins._leasing
    while leasing:
        await asyncio.wait(leasing.values())


@pytest.fixture
def leased(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every block that was leased: its first position and its size."""
    blocks: list[tuple[int, int]] = []
    take = CursorStore.take

    async def noted(stored: CursorStore, service_type: str, cursor: str, steps: int) -> int:
        first = await take(stored, service_type, cursor, steps)
        blocks.append((first, steps))
        return first

    monkeypatch.setattr(SnapshotStore, "take_positions", noted)
    return blocks


async def test_blocks_grow_to_thirty_two_positions(
    new_registry: New, leased: list[tuple[int, int]]
) -> None:
    registry = new_registry(consistency="cached")
    register(registry, "abc")
    await resolved(registry, 300)
    await settled(registry)

    sizes = [size for _, size in leased]
    bounds = [(1, 1), (1, 1), (2, 3), (4, 7), (8, 15), (16, 31)]
    for size, (least, most) in zip(sizes, bounds, strict=False):
        assert least <= size <= most
    assert set(sizes[len(bounds) :]) == {LARGEST_BLOCK}
    assert len(sizes) <= len(bounds) + 300 // LARGEST_BLOCK + 1


async def test_no_position_is_leased_twice(
    new_registry: New, leased: list[tuple[int, int]]
) -> None:
    registries = [new_registry(consistency="cached") for _ in range(5)]
    for registry in registries:
        register(registry, "abc")
    await asyncio.gather(*(resolved(registry, 150) for registry in registries))
    for registry in registries:
        await settled(registry)

    positions = [first + i for first, size in leased for i in range(size)]
    assert sorted(positions) == list(range(len(positions)))


async def test_resolves_that_wait_together_share_one_lease(
    new_registry: New, leased: list[tuple[int, int]]
) -> None:
    registry = new_registry(consistency="cached")
    register(registry, "abcd")
    await resolved(registry, 60)
    await settled(registry)
    round_robin = registry._resolver._round_robins.of("llm", CURSOR)
    round_robin.next, round_robin.spare = round_robin.end, None
    leased.clear()

    got = await asyncio.gather(*(registry.get_service("h", "llm") for _ in range(LARGEST_BLOCK)))

    assert Counter(one.name for one in got) == dict.fromkeys("abcd", LARGEST_BLOCK // 4)
    await settled(registry)
    assert len(leased) == 2, "one for all of them, and the next one in advance"


@pytest.mark.parametrize("providers", ["ab", "abc", "abcd", "abcde", "abcdefg"])
async def test_processes_that_resolve_once_do_not_all_meet_the_first_provider(
    new_registry: New, providers: str
) -> None:
    """They did where there were three: each leased one position, and two more in advance."""
    met: Counter[str] = Counter()
    for _ in range(2 * len(providers)):
        async with new_registry(consistency="cached") as registry:
            register(registry, providers)
            met.update(await resolved(registry, 1))
            await settled(registry)
    assert met == dict.fromkeys(providers, 2)


@pytest.mark.parametrize("times", [2, 3, 5, 9])
@pytest.mark.parametrize("providers", [2, 3, 4, 5, 7])
def test_processes_that_resolve_a_few_times_share_the_providers_evenly(
    providers: int, times: int
) -> None:
    """They did not: what was left of their blocks was always the same provider's turn."""
    processes, position = 2000, 0
    met: Counter[int] = Counter()

    for _ in range(processes):

        def lease(one: RoundRobin) -> None:
            nonlocal position
            size = one.next_size()
            one.blocks += 1
            one.lease(position, size)
            position += size

        round_robin = RoundRobin(lease)
        for _ in range(times):
            while (turn := round_robin.step()) < 0:
                lease(round_robin)
            met[turn % providers] += 1

    share = processes * times / providers
    assert max(met.values()) - min(met.values()) < 0.15 * share, met


async def test_a_process_alone_goes_round_and_round(new_registry: New) -> None:
    registry = new_registry(consistency="cached")
    register(registry, "abc")
    assert await resolved(registry, 90) == ["a", "b", "c"] * 30


async def test_exact_and_cached_resolves_share_one_rotation(new_registry: New) -> None:
    registry = new_registry(consistency="cached")
    register(registry, "abc")
    await resolved(registry, 40)
    await settled(registry)
    exact: list[Any] = [
        await registry.get_service("h", "llm", consistency="exact") for _ in range(9)
    ]
    assert Counter(one.name for one in exact) == dict.fromkeys("abc", 3)


@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_without_redis_the_rotation_goes_on_from_where_it_was(
    new_registry: New, mode: str
) -> None:
    """In exact mode, what the syncs had said was forgotten: each process began with the first."""
    registry = new_registry(consistency=mode)
    register(registry, "abc")
    before = await resolved(registry, 32)
    await settled(registry)
    await registry._session.store()
    for task in list(registry._session._tasks):
        if "_supervised" in str(task.get_coro()):
            task.cancel()  # what would find out at once that it is not true
    registry._parts.connectivity.close("a test")
    got = await resolved(registry, 90)
    assert Counter(got) == dict.fromkeys("abc", 30)
    assert before + got == (["a", "b", "c"] * 41)[: 32 + 90]
    registry._parts.connectivity.mark_connected()


async def test_processes_that_never_saw_the_rotation_do_not_all_begin_with_the_first() -> None:
    met: Counter[int] = Counter()
    for _ in range(300):
        connectivity = Connectivity("redis://example", RegistrySettings())
        connectivity.close("a test")
        round_robins = RoundRobins(None, connectivity)  # type: ignore[arg-type]
        first = await round_robins.step("llm", CURSOR)
        assert await round_robins.step("llm", CURSOR) == first + 1
        met[first % 3] += 1
    assert min(met[place] for place in range(3)) > 50, met
