"""Twenty processes call a provider that fails: only about the threshold of calls reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fleet.work import dead_upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

SIZE = 20
THRESHOLD = 5
RECOVERY = 1.2
MAX_STALENESS = 1.0


def test_twenty_processes_call_a_dead_upstream(
    borrow: Callable[..., Team], real_url: str, shared: SharedState
) -> None:
    twenty = borrow(SIZE, real_url, "cached", store_timeout=0.05)
    found = twenty.all(dead_upstream.call, THRESHOLD, RECOVERY)
    calls = sorted(one for calls in found for one in calls)
    opened = [int(one["at"]) / 1000 for one in shared.events("breaker_opened")]
    probing = [int(one["at"]) / 1000 for one in shared.events("breaker_half_opened")]
    before = [one for one in calls if one < opened[0]]
    after = [one for one in calls if one >= opened[0]]
    # By then the slowest process has asked, if the event did not reach it.
    late = [one for one in after if one - opened[0] > MAX_STALENESS]
    print(  # noqa: T201 # what was measured
        f"{len(before)} calls before it opened, {len(after) - len(late)} within a second of it, "
        f"{len(late)} after that, {len(probing)} probes"
    )
    # What is in flight: one call of each process, and on a busy machine a second one of some.
    assert len(before) + len(after) - len(late) <= THRESHOLD + 2 * SIZE
    assert len(late) <= len(probing)
    assert probing
