"""Every outcome that was reported is counted once: before, during and after an outage.

Only outcomes in flight when a server dies may be lost: those that were being reported at
that moment, or the successes of one second.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from tests.fleet.outages import STORE_TIMEOUT, wait_for
from tests.fleet.shared_state import SharedState
from tests.fleet.work import breakers, outages, registries, reporting
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

MODES = ("cached", "exact")


def totals(server: Server) -> list[int]:
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        breaker = SharedState(client).breaker()
        return [int(breaker["total_successes"]), int(breaker["total_failures"])]


def summed(reported: list[list[int]]) -> list[int]:
    return [sum(one) for one in zip(*reported, strict=True)]


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_hung_has_counted_every_outcome_once(
    server: Server, borrow: Callable[..., Team], mode: str
) -> None:
    three = borrow(3, server.url, mode, store_timeout=STORE_TIMEOUT, success_report_interval=0.1)
    three.all(outages.register)
    three.all(reporting.report)
    for hang in (0.2, 2.5):  # the second until Redis is lost
        three.all(registries.sleep, 0.3)
        server.freeze()
        three.all(registries.sleep, hang)
        server.thaw()
        wait_for(three, "connected")
    three.all(registries.sleep, 0.3)
    reported = summed(three.all(reporting.stop_reporting))
    found = totals(server)
    print(mode, "reported", reported, "counted", found)  # noqa: T201 # what was measured
    assert found == reported


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_was_killed_and_had_saved_everything_counts_nothing_twice(
    server: Server, borrow: Callable[..., Team], mode: str
) -> None:
    server.kill()
    server.start(saving=True)
    three = borrow(3, server.url, mode, store_timeout=STORE_TIMEOUT, success_report_interval=0.1)
    three.all(outages.register)
    three.all(reporting.report)
    times = 3
    for _ in range(times):
        three.all(registries.sleep, 0.2)
        server.kill()
        wait_for(three, "lost")
        server.start(saving=True)
        wait_for(three, "connected")
    three.all(registries.sleep, 0.2)
    reported = summed(three.all(reporting.stop_reporting))
    found = totals(server)
    print(mode, "reported", reported, "counted", found)  # noqa: T201 # what was measured
    # One batch holds the successes of 0.1 s, of which there are fewer than 50; another message
    # may be an awaited outcome.
    lost = [one - other for one, other in zip(reported, found, strict=True)]
    assert 0 <= lost[0] <= 3 * times * 51
    assert 0 <= lost[1] <= 3 * times * 2


def test_a_server_that_comes_back_empty_counts_nothing_twice(
    server: Server, borrow: Callable[..., Team]
) -> None:
    two = borrow(2, server.url, "cached", store_timeout=STORE_TIMEOUT, success_report_interval=0.1)
    two.all(outages.register)
    for _ in range(2):
        two.all(breakers.record_successes, 100)
        two.all(reporting.fail_and_succeed)
    before = totals(server)
    assert before == [404, 4]
    server.kill()
    wait_for(two, "lost")
    two.all(breakers.record_successes, 100)
    two.all(reporting.fail_and_succeed_offline)
    server.start()
    wait_for(two, "connected")
    two.all(reporting.succeed)
    found = totals(server)
    print("reported", [608, 6], "counted", found)  # noqa: T201 # what was measured
    assert 204 <= found[0] <= 608
    assert 2 <= found[1] <= 6


async def test_an_awaited_outcome_is_not_lost_because_the_machine_is_slow(real_url: str) -> None:
    settings = RegistrySettings(store_timeout=0.001, max_staleness=60)
    async with ServiceRegistry(url=real_url, settings=settings) as registry:
        registry.register_global("llm", object(), name="shared")
        await registry.get_service("h", "llm")
        handle = registry.breaker("llm", "shared")

        async def both() -> None:
            await handle.arecord_failure()
            await handle.arecord_success()

        for _ in range(20):
            await asyncio.gather(*(both() for _ in range(5)))
        for _ in range(100):
            if registry.health().ok:
                await registry.flush()
            await asyncio.sleep(0.01)
        with redis.Redis.from_url(real_url, decode_responses=True) as client:
            breaker = SharedState(client).breaker()
    counted = int(breaker["total_successes"]), int(breaker["total_failures"])
    assert counted == (100, 100)


async def test_a_burst_loses_only_the_outcomes_in_flight_and_counts_none_twice(
    server: Server,
) -> None:
    server.kill()
    server.start(saving=True)
    settings = RegistrySettings(store_timeout=STORE_TIMEOUT)
    async with ServiceRegistry(url=server.url, settings=settings) as registry:
        registry.register_global("llm", object(), name="shared")
        handle = registry.breaker("llm", "shared")
        await asyncio.gather(*(handle.arecord_success() for _ in range(20)))
        burst = [asyncio.create_task(handle.arecord_success()) for _ in range(50)]
        await asyncio.sleep(0)
        server.kill()
        await asyncio.gather(*burst)
        await asyncio.gather(*(handle.arecord_success() for _ in range(30)))
        server.start(saving=True)
        await registry.flush()
        found: Any = await handle.aget_stats()
        assert 20 + 30 <= found["total_successes"] <= 20 + 50 + 30
        assert totals(server)[0] == found["total_successes"]


async def test_a_thousand_failures_during_an_outage_are_one_number(
    server: Server,
) -> None:
    settings = RegistrySettings(store_timeout=STORE_TIMEOUT)
    async with ServiceRegistry(url=server.url, settings=settings) as registry:
        registry.register_global("llm", object(), name="shared")
        assert await registry.get_service("h", "llm") is not None
        handle = registry.breaker("llm", "shared")
        server.kill()
        await handle.arecord_failure()
        for _ in range(1000):
            handle.record_failure()
            await asyncio.sleep(0)
        assert registry.health().pending_writes <= 1
        assert not handle.is_available()
        server.start()
        await registry.flush()
        found: Any = await handle.aget_stats()
        assert found["state"] == "open"
        assert found["total_failures"] in {1000, 1001}
        assert totals(server)[1] == found["total_failures"]


async def test_successes_during_an_outage_end_a_streak_that_began_before_it(server: Server) -> None:
    settings = RegistrySettings(store_timeout=STORE_TIMEOUT)
    async with ServiceRegistry(url=server.url, settings=settings) as registry:
        registry.register_global("llm", object(), name="shared")
        handle = registry.breaker("llm", "shared")
        for _ in range(4):
            await handle.arecord_failure()
        server.freeze()
        await registry.get_service("h", "llm", consistency="exact")
        await async_wait_until(lambda: registry.health().redis == "lost")
        for _ in range(100):
            handle.record_success()
        server.thaw()
        await async_wait_until(lambda: registry.health().ok)
        await registry.flush()
        assert (await handle.aget_stats())["failure_count"] == 0
        assert (await handle.arecord_failure()).value == "closed"


@pytest.mark.long_run
async def test_a_probe_that_failed_during_an_outage_is_not_repeated_when_it_ends(
    server: Server,
) -> None:
    """The shared breaker's recovery timeout had passed, so every process probed again at once."""
    settings = RegistrySettings(store_timeout=STORE_TIMEOUT)
    config = CircuitBreakerConfig(recovery_timeout=3.0)
    async with (
        ServiceRegistry(url=server.url, settings=settings) as one,
        ServiceRegistry(url=server.url, settings=settings) as other,
    ):
        for registry in (one, other):
            registry.register_global("llm", object(), name="s", circuit_breaker_config=config)
            await registry.get_service("h", "llm")
        handle = one.breaker("llm", "s")
        for _ in range(5):
            await handle.arecord_failure()
        server.freeze()
        await one.get_service("h", "llm", consistency="exact")
        await async_wait_until(lambda: one.health().redis == "lost")
        await async_wait_until(lambda: one._parts.breakers.of("llm", "s").ask_availability())
        assert await one.get_service("h", "llm") is not None
        failed = time.monotonic()
        await handle.arecord_failure()
        assert await one.get_service("h", "llm") is None
        server.thaw()
        await async_wait_until(lambda: one.health().ok and other.health().ok)
        early = 0
        while time.monotonic() < failed + 2.7:
            for registry in (one, other):
                early += await registry.get_service("h", "llm") is not None
            await asyncio.sleep(0.02)
        assert not early
        await async_wait_until(lambda: other.breaker("llm", "s").is_available())
