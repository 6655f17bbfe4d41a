"""Each position of the fleet's round robins is leased by one process, in a block."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import RegistrySettings, SelectionStrategy, ServiceRegistry
from ciris_registry.selection.round_robin import LARGEST_BLOCK, RoundRobin, RoundRobins
from ciris_registry.store.connection.connectivity import Connectivity
from ciris_registry.store.records.snapshots import SnapshotStore

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
    """Wait for the blocks that are being leased in advance."""
    leasing = registry._parts.resolver._round_robins._leasing
    while leasing:
        await asyncio.wait(leasing.values())


@pytest.fixture
def leased(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every block that was leased: its first position and its size."""
    blocks: list[tuple[int, int]] = []
    take = SnapshotStore.take_positions

    async def noted(stored: SnapshotStore, service_type: str, cursor: str, steps: int) -> int:
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
    round_robin = registry._parts.resolver._round_robins.of("llm", CURSOR)
    round_robin.next, round_robin.spare = round_robin.end, None
    leased.clear()

    got = await asyncio.gather(*(registry.get_service("h", "llm") for _ in range(LARGEST_BLOCK)))

    assert Counter(one.name for one in got) == dict.fromkeys("abcd", LARGEST_BLOCK // 4)
    await settled(registry)
    assert len(leased) == 2, "one block for all of them, and the next block in advance"


@pytest.mark.parametrize("providers", ["ab", "abc", "abcd", "abcde", "abcdefg"])
async def test_processes_that_resolve_once_do_not_all_get_the_first_provider(
    new_registry: New, providers: str
) -> None:
    """They did with three providers: each process leased one position, and two in advance."""
    picked: Counter[str] = Counter()
    for _ in range(2 * len(providers)):
        async with new_registry(consistency="cached") as registry:
            register(registry, providers)
            picked.update(await resolved(registry, 1))
            await settled(registry)
    assert picked == dict.fromkeys(providers, 2)


@pytest.mark.parametrize("times", [2, 3, 5, 9])
@pytest.mark.parametrize("providers", [2, 3, 4, 5, 7])
def test_processes_that_resolve_a_few_times_share_the_providers_evenly(
    providers: int, times: int
) -> None:
    """They did not: the unused positions of their blocks always fell to the same provider."""
    processes, position = 2000, 0
    picked: Counter[int] = Counter()

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
            picked[turn % providers] += 1

    share = processes * times / providers
    assert max(picked.values()) - min(picked.values()) < 0.15 * share, picked


async def test_a_single_process_rotates_in_order(new_registry: New) -> None:
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
async def test_without_redis_the_rotation_continues_from_the_last_known_position(
    new_registry: New, mode: str
) -> None:
    """In exact mode it did not: each process began again with the first provider."""
    registry = new_registry(consistency=mode)
    register(registry, "abc")
    before = await resolved(registry, 32)
    await settled(registry)
    await registry._session.store()
    for task in list(registry._session._tasks):
        if "_supervised" in str(task.get_coro()):
            task.cancel()  # the watcher would find Redis connected at once
    registry._parts.connectivity.close("a test")
    got = await resolved(registry, 90)
    assert Counter(got) == dict.fromkeys("abc", 30)
    assert before + got == (["a", "b", "c"] * 41)[: 32 + 90]
    registry._parts.connectivity.mark_connected()


async def test_processes_that_know_no_position_begin_at_different_providers() -> None:
    picked: Counter[int] = Counter()
    for _ in range(300):
        connectivity = Connectivity("redis://example", RegistrySettings())
        connectivity.close("a test")
        round_robins = RoundRobins(None, connectivity)  # type: ignore[arg-type]
        first = await round_robins.step("llm", CURSOR)
        assert await round_robins.step("llm", CURSOR) == first + 1
        picked[first % 3] += 1
    assert min(picked[place] for place in range(3)) > 50, picked
