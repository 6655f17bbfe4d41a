"""A process that dies takes along what it has not reported yet: some successes, no failure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

REPORT_EVERY = 0.5
ARRIVED = 1.0
"""Seconds after which a report that was due is in Redis, on a machine with two busy cores."""

COUNT = """
    global counted, counting
    counted = 0
    well = CircuitBreakerConfig(failure_threshold=1000, failure_rate_threshold=None)
    registry.register_global("llm", Client(), name="shared", circuit_breaker_config=well)
    registry.register_global("llm", Client(), name="failing", circuit_breaker_config=well)
    await registry.flush()

    async def count():
        global counted
        while True:
            handle.record_success()
            counted += 1
            await asyncio.sleep(0.002)

    counting = asyncio.ensure_future(count())
"""


def test_the_successes_of_the_last_moment_and_no_failure(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    [doomed] = fleet(1, consistency="cached", success_report_interval=REPORT_EVERY)
    doomed.run(COUNT)
    doomed.run("await asyncio.sleep(0.5)")
    # It takes along the successes before it, so that it must not come last.
    doomed.run("await registry.breaker('llm', 'failing').arecord_failure()")
    doomed.run("await asyncio.sleep(0.5)")
    due = doomed.run("return counted")
    time.sleep(REPORT_EVERY + ARRIVED)
    latest = doomed.run("return counted")
    doomed.kill()

    told = int(shared.breaker()["total_successes"])
    assert due <= told, "what is older than report_every is there"
    assert told < latest + 500, "and none twice"
    assert shared.breaker("failing")["total_failures"] == "1"


def test_they_are_not_told_one_by_one(fleet: Callable[..., Team], shared: SharedState) -> None:
    """Else nothing could be lost, and each would be a round trip."""
    [doomed] = fleet(1, consistency="cached", success_report_interval=60.0)
    doomed.run(COUNT)
    doomed.run("await asyncio.sleep(1.0)")
    assert doomed.run("return counted") > 50
    doomed.kill()
    assert shared.breaker()["total_successes"] == "0"
