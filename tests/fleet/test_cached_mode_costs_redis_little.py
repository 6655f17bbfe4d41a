"""What the cached mode costs Redis, counted by the server itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import redis

from ciris_registry import RegistrySettings, ServiceRegistry
from ciris_registry.store.records.snapshots import SnapshotStore
from ciris_registry.store.script_runner import ScriptRunner
from tests.fleet.work import registries, rotation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

PROCESSES = 20
RESOLVES = 500


def calls(client: Any) -> Counter[str]:
    """Commands that clients have sent; a script's own ones run inside ``evalsha``."""
    stats = client.info("commandstats")
    names = ("evalsha", "eval", "xread", "xrevrange", "ping", "smembers")
    return Counter({name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names})


@pytest.fixture(scope="session")
def real_server(private_server: str) -> str:
    """A server of this test process's own, since it counts the commands of all its clients."""
    return private_server


def test_a_cached_round_robin_is_even_over_the_fleet_and_costs_redis_little(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    twenty = fleet(PROCESSES, consistency="cached", lease=60.0)
    twenty.all(rotation.register)
    twenty.all(registries.refresh)
    before = calls(shared.client)

    answers = twenty.all(rotation.count_resolved, RESOLVES)

    sent = calls(shared.client) - before
    shares: Counter[str] = Counter()
    for answer in answers:
        shares.update(answer)
    equal = PROCESSES * RESOLVES / 4
    assert all(abs(count - equal) <= 0.01 * equal for count in shares.values()), shares
    assert shares.total() == PROCESSES * RESOLVES
    assert sent["evalsha"] <= PROCESSES * RESOLVES / 16, sent


async def test_resolving_and_succeeding_sends_no_command_of_its_own(real_url: str) -> None:
    settings = RegistrySettings(store_timeout=5.0)
    async with ServiceRegistry(url=real_url, settings=settings) as registry:
        client = object()
        name = registry.register("h", "llm", client)
        breaker = registry.breaker("llm", name)
        await registry.refresh()
        await asyncio.sleep(0.1)
        task = asyncio.current_task()
        own: list[str] = []
        run = ScriptRunner.run

        async def noted(script_calls: ScriptRunner, script: str, *args: Any, **options: Any) -> Any:
            if asyncio.current_task() is task:
                own.append(script)
            return await run(script_calls, script, *args, **options)

        with pytest.MonkeyPatch.context() as patch, redis.Redis.from_url(real_url) as looking:
            patch.setattr(ScriptRunner, "run", noted)
            before, began = calls(looking), time.monotonic()
            for turn in range(2000):
                assert await registry.get_service("h", "llm") is client
                breaker.record_success()
                if turn % 10 == 0:
                    await asyncio.sleep(0.01)
            took = time.monotonic() - began
            sent = (calls(looking) - before).total()
        assert own == []
        assert sent <= 60 * max(took, 2.0) / 10 + 2, f"{sent} within {took:.1f} s"
        await registry.flush()
        assert (await breaker.aget_stats())["total_successes"] == 2000


async def test_many_registrations_are_read_back_a_few_times_only(real_url: str) -> None:
    """The process read all of it anew for nearly every event of its own registrations."""
    loads = 0
    load = SnapshotStore.load

    async def noted(stored: SnapshotStore, *args: Any) -> Any:
        nonlocal loads
        loads += 1
        return await load(stored, *args)

    settings = RegistrySettings(store_timeout=5.0)
    async with ServiceRegistry(url=real_url, settings=settings) as registry:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SnapshotStore, "load", noted)
            began = time.monotonic()
            for turn in range(300):
                registry.register("h", "llm", object(), name=f"n{turn}")
            await registry.flush()
            await asyncio.sleep(0.3)
            took = time.monotonic() - began
        assert loads <= 5 + took / 0.02, f"{loads} loads within {took:.1f} s"
        assert loads < 150
        found = await registry.explain("h", "llm")
        assert [one.name for one in found] == [f"n{turn}" for turn in range(300)]
