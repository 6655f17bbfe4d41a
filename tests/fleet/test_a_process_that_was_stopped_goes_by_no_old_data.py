"""A process is stopped while a breaker opens: once it goes on, it does not call the open provider.

Its first question is answered late, because the machine is busy. It waits once more before it goes
by what it knew before the stop.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.fleet.work import breakers, dead_provider, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

STOP: Final = 1.2


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param(2, id="short"),
        pytest.param(30, marks=[pytest.mark.outage_run, pytest.mark.timeout(600)], id="long"),
    ],
)
def test_stopped_while_a_breaker_opens(
    fleet: Callable[..., Team], shared: SharedState, stops: int
) -> None:
    calling, other = fleet(2, store_timeout=0.05)
    for agent in (calling, other):
        agent.run(dead_provider.register, 600.0, 5.0)
        agent.run(registries.find)
    after = 0
    for _ in range(stops):
        calling.run(dead_provider.begin, 20.0, 0.0)
        wait_until(lambda: bool(calling.run(dead_provider.reached)))
        calling.signal(signal.SIGSTOP)
        other.run(breakers.arecord_failures, 5)
        wait_until(lambda: shared.state() == "open")
        time.sleep(STOP)
        woke = time.time()
        calling.signal(signal.SIGCONT)
        time.sleep(0.5)
        after += sum(call[0] > woke + 0.001 for call in calling.run(dead_provider.reached))
        calling.run(dead_provider.end)
        other.run(breakers.reset, "again")
        wait_until(lambda: calling.run(registries.find))
    print(f"{stops} stops: {after} calls to the open provider afterwards")  # noqa: T201 # what was measured
    assert not after
