"""Calls take longer than store_timeout, though Redis is there: one probe at once, nothing lost."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from tests.fleet.work import breakers, registries, slow_machine
from tests.running import QUIETLY, run
from tests.waiting import async_wait_until, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server
    from tests.fleet.shared_state import SharedState


@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_never_two_probes_at_once(
    borrow: Callable[..., Team], real_url: str, shared: SharedState, mode: str
) -> None:
    four = borrow(4, real_url, mode, store_timeout=0.001)
    found = four.all(slow_machine.probe)
    opened = max(int(one["at"]) for one in shared.events("breaker_opened")) / 1000
    calls = sorted(call for calls in found for call in calls if call[0] > opened + 0.2)
    print(f"{mode}: {len(calls)} probes")  # noqa: T201 # what was measured
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(calls))
    # No permit stays held: one whose reply came too late was released.
    wait_until(lambda: shared.permits() == {})


@pytest.mark.parametrize("outage", ["hangs", "answers"])
def test_a_cancelled_report_loses_no_outcome(
    borrow: Callable[..., Team], server: Server, outage: str
) -> None:
    [agent] = borrow(1, server.url, "cached", store_timeout=0.05, success_report_interval=0.05)
    agent.run(slow_machine.register)
    if outage == "hangs":
        server.freeze()
    reported = agent.run(slow_machine.cancel_reports)
    if outage == "hangs":
        server.thaw()
    wait_until(lambda: agent.run(registries.is_ok))
    agent.run(registries.flush)
    stats = agent.run(breakers.aget_stats)
    assert (stats["total_successes"], stats["total_failures"]) == (31, reported)


def test_nothing_is_left_running(real_url: str) -> None:
    assert run("a_slow_machine_leaves_no_task", real_url) == QUIETLY


async def test_no_probe_while_redis_is_suspended_and_one_in_each_process_once_it_is_lost(
    server: Server,
) -> None:
    once = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.3)
    settings = RegistrySettings(store_timeout=0.2)
    registries = [ServiceRegistry(url=server.url, settings=settings) for _ in range(2)]
    for registry in registries:
        registry.register_global("llm", object(), name="shared", circuit_breaker_config=once)
        assert await registry.get_service("h", "llm") is not None
    await registries[0].breaker("llm", "shared").arecord_failure()
    handles = [registry.breaker("llm", "shared") for registry in registries]
    await async_wait_until(lambda: not any(handle.is_available() for handle in handles))
    server.freeze()
    try:
        await async_wait_until(lambda: all(handle.is_available() for handle in handles))
        for registry in registries:
            suspended = probes = 0
            while registry.health().redis != "lost":
                found = await registry.get_service("h", "llm")
                if registry.health().redis == "suspended":
                    suspended += 1
                    assert found is None
                probes += found is not None
                await asyncio.sleep(0.01)
            assert suspended > 2
            for _ in range(5):
                probes += await registry.get_service("h", "llm") is not None
            assert probes == 1
    finally:
        server.thaw()
        await async_wait_until(lambda: all(registry.health().ok for registry in registries))
        for registry in registries:
            await registry.aclose()
