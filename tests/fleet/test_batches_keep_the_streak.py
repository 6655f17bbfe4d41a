"""Successes that are reported in batches end a streak as if each had been reported at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from tests.fleet.work import batches, breakers, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState


@pytest.mark.parametrize("held", [True, False], ids=["a handle is held", "none is"])
def test_one_process_that_always_fails_does_not_open_a_provider_that_works_for_others(
    fleet: Callable[..., Team], shared: SharedState, *, held: bool
) -> None:
    """It did in programs without a handle: the streak warning was lost with the breaker."""
    four = fleet(4, consistency="cached")
    four.all(batches.register)
    for well in four.agents[1:]:
        well.begin(batches.record_for, 3, "success", 0.005, held=held)
    four[0].run(batches.record_for, 2.5, "failure", 0.05, held=held)
    for well in four.agents[1:]:
        well.end()
    four.all(registries.flush)

    assert shared.state() == "closed"
    assert shared.events("breaker_opened") == []
    assert int(shared.breaker()["total_failures"]) >= 20


def test_a_provider_that_fails_one_time_in_a_hundred_stays_closed(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    six = fleet(6, consistency="cached")
    six.all(batches.register)
    six.all(batches.record_one_failure_in_a_hundred)

    counted = shared.breaker()
    assert shared.state() == "closed"
    assert shared.events("breaker_opened") == []
    assert int(counted["total_successes"]) + int(counted["total_failures"]) == 6000


def test_a_provider_that_dies_opens_though_successes_from_before_are_pending(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    """A late batch contains its age, and does not end a streak that is younger."""
    two = fleet(2, consistency="cached", success_report_interval=30.0)
    two.all(batches.register)
    two.all(breakers.record_successes, 500)
    for _ in range(4):
        two[0].run(batches.fail)
    two[1].run(registries.flush)
    assert int(shared.breaker()["total_successes"]) == 1000
    assert shared.state() == "closed"
    two[0].run(batches.fail)

    wait_until(lambda: shared.state() == "open")
    assert int(shared.breaker()["total_successes"]) == 1000


async def test_a_late_failure_took_current_successes_out_of_the_window(
    real_url: str, shared: SharedState
) -> None:
    """They went along with it, and were judged by its generation: a healthy provider opened."""
    by_rate = CircuitBreakerConfig(failure_rate_threshold=0.5, minimum_calls=100)
    settings = RegistrySettings(success_report_interval=60.0)
    async with ServiceRegistry(url=real_url, settings=settings) as registry:
        registry.register_global("llm", object(), name="shared", circuit_breaker_config=by_rate)
        handle = registry.breaker("llm", "shared")
        begun, may_fail = asyncio.Event(), asyncio.Event()

        async def fail_late(_: object) -> None:
            begun.set()
            await may_fail.wait()
            raise ConnectionError("late")

        late = asyncio.create_task(registry.call("h", "llm", fail_late))
        await begun.wait()
        await handle.aforce_open("a new generation")
        await handle.aclear_override()
        for _ in range(5):
            await registry.call("h", "llm", succeed)
        may_fail.set()
        with pytest.raises(ConnectionError):
            await late

    found = shared.breaker()
    buckets = [text.split(":") for text in f"{found['window']} {found['window_past']}".split()]
    assert sum(int(bucket[1]) for bucket in buckets if len(bucket) == 3) == 5
    assert (found["total_successes"], found["total_failures"]) == ("5", "1")


async def succeed(_: object) -> None:
    """A call of a provider that works."""
