"""One provider is dead and another one works: guarded calls fail over without an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.work import failover

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

SIZE = 20
CALLS = 50
THRESHOLD = 5
TIMEOUT = 0.5


@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_fifty_calls_of_twenty_processes_into_a_dead_provider(
    fleet: Callable[..., Team], shared: SharedState, mode: str
) -> None:
    twenty = fleet(SIZE, consistency=mode)
    twenty.all(failover.prepare, "dead", THRESHOLD, TIMEOUT)
    found = twenty.all(failover.call, CALLS, TIMEOUT)
    errors = [error for one in found for error in one[0]]
    bad, good = sum(one[1] for one in found), sum(one[2] for one in found)
    print(  # noqa: T201 # what was measured
        f"{mode}: {len(errors)} errors, {bad} calls reached the dead one, {good} the other"
    )
    assert not errors
    assert good == SIZE * CALLS
    # What is in flight is one call of each process, which goes on only when that is reported.
    assert THRESHOLD <= bad <= THRESHOLD + SIZE
    assert len(shared.events("breaker_opened")) == 1


@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_a_hanging_provider_costs_a_timeout_once_per_threshold_and_not_once_per_call(
    fleet: Callable[..., Team], mode: str
) -> None:
    two = fleet(2, consistency=mode)
    two.all(failover.prepare, "hanging", THRESHOLD, TIMEOUT)
    found = two.all(failover.call, CALLS, TIMEOUT)
    assert not [error for one in found for error in one[0]]
    bad, good, slow = (sum(column) for column in list(zip(*found, strict=True))[1:])
    assert good == 2 * CALLS
    assert bad == slow
    assert THRESHOLD <= bad <= THRESHOLD + 2
