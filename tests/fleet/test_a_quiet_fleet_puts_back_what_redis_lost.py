"""Redis is flushed while the fleet makes no calls: the open breaker is restored all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fleet.work import breakers, quiet_fleet, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState


def test_an_open_breaker_is_restored_without_any_call(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    three = fleet(3, consistency="cached", lease=600.0)  # no heartbeat comes to its help
    three.all(quiet_fleet.register)
    three[0].run(breakers.arecord_failure)
    three.all(registries.refresh)
    before = shared.breaker()

    shared.client.flushdb()

    wait_until(lambda: shared.state() == "open")
    wait_until(lambda: set(shared.registrations()) == {"shared@h"})
    after = shared.breaker()
    assert [after[name] for name in ("retry_at", "opened_at")] == [
        before[name] for name in ("retry_at", "opened_at")
    ]


def test_a_quiet_service_type_is_checked_beside_a_busy_one(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    """The check waited for silent streams, which never came while another service type was busy."""
    two = fleet(2, consistency="cached", lease=600.0)
    two.all(quiet_fleet.register)
    two[0].run(breakers.arecord_failure)
    two.all(quiet_fleet.chatter)
    two.all(registries.refresh)
    try:
        shared.client.flushdb()
        wait_until(lambda: shared.state() == "open")
    finally:
        two.all(quiet_fleet.end_chatter)
