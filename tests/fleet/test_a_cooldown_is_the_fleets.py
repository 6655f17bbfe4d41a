"""A Retry-After that one process receives stops the calls of all processes until then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.fleet.work import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

SIZE = 20
SECONDS = 5
SOON = 0.1
"""Seconds in which all have heard of it; it takes milliseconds."""


@pytest.mark.long
@pytest.mark.parametrize("mode", ["cached", pytest.param("exact", marks=pytest.mark.long_run)])
def test_a_retry_after_stops_all_processes_and_is_no_failure(
    fleet: Callable[..., Team], shared: SharedState, mode: str
) -> None:
    twenty = fleet(SIZE, consistency=mode)
    twenty.all(retry_after.prepare)
    limited_at = twenty[0].run(retry_after.limit)
    time.sleep(SOON)
    found = twenty.all(retry_after.ask)
    assert min(at for at, _ in found) - limited_at > SECONDS - SOON
    waits = [wait for _, wait in found if wait is not None]
    assert len(waits) == SIZE
    assert all(0 < wait < SECONDS for wait in waits)
    breaker = shared.breaker()
    assert breaker["state"] == "closed"
    assert breaker["total_failures"] == breaker["consecutive_failures"] == "0"
    (event,) = shared.events("breaker_cooldown_started")
    assert event["reason"] == "HTTP 429, retry-after"
    assert int(breaker["cooldown_until"]) - int(event["at"]) == SECONDS * 1000
