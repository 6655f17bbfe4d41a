"""Successes that are reported in batches end a streak as if each had been reported at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

REGISTER = """
    config = CircuitBreakerConfig(failure_threshold=5, failure_rate_threshold=None)
    registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=config)
    assert await registry.get_service("h", "llm") is not None
    await registry.flush()
    await asyncio.sleep(0.1)
"""
HELD = "handle.record_{outcome}()"
MADE_ANEW = "registry.breaker('llm', 'shared').record_{outcome}()"
REPORTING = """
    global handle
    if {anew}:
        handle = None  # no handle is held between two calls
    until = time.monotonic() + {seconds}
    while time.monotonic() < until:
        {report}
        await asyncio.sleep({every})
"""


def reporting(report: str, outcome: str, every: float, seconds: float) -> str:
    anew = report is MADE_ANEW
    said = report.format(outcome=outcome)
    return REPORTING.format(anew=anew, report=said, every=every, seconds=seconds)


@pytest.mark.parametrize("report", [HELD, MADE_ANEW], ids=["a handle is held", "none is"])
def test_one_process_that_always_fails_does_not_open_a_provider_that_works_for_others(
    fleet: Callable[..., Team], shared: SharedState, report: str
) -> None:
    """It did in programs without a handle: the streak warning was lost with the breaker."""
    four = fleet(4, consistency="cached")
    four.all(REGISTER)
    for well in four.agents[1:]:
        well.begin(reporting(report, "success", 0.005, 3))
    four[0].run(reporting(report, "failure", 0.05, 2.5))
    for well in four.agents[1:]:
        well.end()
    four.all("await registry.flush()")

    assert shared.state() == "closed"
    assert shared.events("breaker_opened") == []
    assert int(shared.breaker()["total_failures"]) >= 20


def test_a_provider_that_fails_one_time_in_a_hundred_stays_closed(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    six = fleet(6, consistency="cached")
    six.all(REGISTER)
    six.all("""
        import random
        random.seed(registry.process_id)
        for turn in range(1000):
            (handle.record_failure if random.random() < 0.01 else handle.record_success)()
            if turn % 5 == 0:
                await asyncio.sleep(0.005)
        await registry.flush()
    """)

    counted = shared.breaker()
    assert shared.state() == "closed"
    assert shared.events("breaker_opened") == []
    assert int(counted["total_successes"]) + int(counted["total_failures"]) == 6000


def test_a_provider_that_dies_opens_though_successes_from_before_are_pending(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    """A late batch contains its age, and does not end a streak that is younger."""
    two = fleet(2, consistency="cached", success_report_interval=30.0)
    two.all(REGISTER)
    two.all("""
        for _ in range(500):
            handle.record_success()
    """)
    fail = "await asyncio.sleep(0.01); handle.record_failure(); await registry.flush()"
    for _ in range(4):
        two[0].run(fail)
    two[1].run("await registry.flush()")
    assert int(shared.breaker()["total_successes"]) == 1000
    assert shared.state() == "closed"
    two[0].run(fail)

    wait_until(lambda: shared.state() == "open")
    assert int(shared.breaker()["total_successes"]) == 1000
