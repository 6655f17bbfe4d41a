"""Redis stops and goes on while a probe is due: each process probes once a stop, not again.

The probe lasts longer than the way back to Redis: rereading the shared state must not make the
process forget that it is out. The recovery timeout is longer than a stop.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.fleet.outages import wait_for
from tests.fleet.work import breakers, dead_provider, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

RECOVERY: Final = 1.0
PROBE: Final = 0.6


@pytest.mark.parametrize("mode", ["cached", "exact"])
@pytest.mark.parametrize(
    ("size", "stops"),
    [
        pytest.param(3, 1, id="short"),
        pytest.param(6, 30, marks=[pytest.mark.outage_run, pytest.mark.timeout(900)], id="long"),
    ],
)
def test_stopped_and_continued_while_a_probe_is_due(
    server: Server, borrow: Callable[..., Team], mode: str, size: int, stops: int
) -> None:
    team = borrow(size, server.url, mode, store_timeout=0.05)
    team.all(dead_provider.register, RECOVERY, 5.0)
    team[0].run(breakers.arecord_failures, 5)
    team.all(registries.refresh)
    team.all(dead_provider.begin, 20.0, PROBE)
    most = 0
    for _ in range(stops):
        wait_until(lambda: any(team.all(dead_provider.reached)))  # a probe has just begun
        stopped = time.time()
        server.freeze()
        wait_for(team, "lost")
        time.sleep(0.1)
        server.thaw()
        continued = time.time()
        wait_for(team, "connected")
        for calls in team.all(dead_provider.reached):
            alone = [call for call in calls if stopped + 0.1 < call[0] < continued]
            most = max(most, len(alone))
    team.all(dead_provider.end)
    print(f"{stops} stops: {most} probes of one process in one stop at the most")  # noqa: T201 # what was measured
    assert most <= 1
