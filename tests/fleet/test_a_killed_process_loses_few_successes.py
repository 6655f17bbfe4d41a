"""A process that dies loses what it has not reported yet: some successes, and no failure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.fleet.work import breakers, registries, successes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

REPORT_EVERY = 0.5
ARRIVED = 1.0
"""Seconds after which a report that was due is in Redis, on a machine with two busy cores."""


def test_only_the_successes_since_the_last_report_are_lost(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    [doomed] = fleet(1, consistency="cached", success_report_interval=REPORT_EVERY)
    doomed.run(successes.count)
    doomed.run(registries.sleep, 0.5)
    # It takes along the successes before it, so that it must not come last.
    doomed.run(breakers.arecord_failure, "failing")
    doomed.run(registries.sleep, 0.5)
    due = doomed.run(successes.counted)
    time.sleep(REPORT_EVERY + ARRIVED)
    latest = doomed.run(successes.counted)
    doomed.kill()

    counted = int(shared.breaker()["total_successes"])
    assert due <= counted, "what is older than success_report_interval is there"
    assert counted < latest + 500, "and none twice"
    assert shared.breaker("failing")["total_failures"] == "1"


def test_successes_are_not_reported_one_by_one(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    """Otherwise each would cost a round trip, and none could be lost."""
    [doomed] = fleet(1, consistency="cached", success_report_interval=60.0)
    doomed.run(successes.count)
    doomed.run(registries.sleep, 1.0)
    assert doomed.run(successes.counted) > 50
    doomed.kill()
    assert shared.breaker()["total_successes"] == "0"
