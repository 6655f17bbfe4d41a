"""A process whose calls alone fail stops by itself; the others are not affected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from tests.fleet.outages import STORE_TIMEOUT, wait_for
from tests.fleet.shared_state import SharedState
from tests.fleet.work import bad_node, breakers, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server


@pytest.mark.parametrize("way", ["guarded", "plain", "awaited"])
@pytest.mark.parametrize("consistency", ["cached", "exact"])
def test_a_process_that_always_fails_stops_within_its_threshold_and_three_others_go_on(
    consistency: str, way: str, fleet: Callable[..., Team], shared: SharedState
) -> None:
    four = fleet(4, consistency=consistency)
    four.all(bad_node.register, recovery_timeout=60.0)
    bad, *well = four.agents
    for one in well:
        one.begin(bad_node.use, way, "success", 2.0)
    calls, refused = bad.run(bad_node.use, way, "failure", 1.5)
    others = [one.end() for one in well]

    assert calls <= 5
    assert refused > 10
    assert [refused for _, refused in others] == [0, 0, 0]
    assert shared.state() == "closed"
    assert shared.events("breaker_opened") == []
    [event] = shared.events("breaker_tripped_locally")
    assert event["actor"] == bad.process_id
    verdict, reason, retry_after = bad.run(bad_node.explain)
    assert (verdict, reason) == ("rejected", "open_locally")
    assert 50 < retry_after <= 60
    assert [one.run(bad_node.explain)[:2] for one in well] == [["chosen", "in order"]] * 3


@pytest.mark.parametrize("consistency", ["cached", "exact"])
def test_it_comes_back_by_its_own_trial(
    consistency: str, fleet: Callable[..., Team], shared: SharedState
) -> None:
    two = fleet(2, consistency=consistency)
    two.all(bad_node.register, recovery_timeout=0.5)
    bad, well = two
    well.begin(bad_node.use, "plain", "success", 1.5)
    calls, _ = bad.run(bad_node.use, "awaited", "failure", 1.3)
    assert well.end()[1] == 0
    assert 6 <= calls <= 7, "five, and one trial each half second"

    wait_until(lambda: bad.run(breakers.is_available))
    assert bad.run(bad_node.recover) == [[True] + [False] * 4, [True] * 5]

    kinds = [event["kind"] for event in shared.events() if event["kind"].endswith("_locally")]
    assert kinds[0] == "breaker_tripped_locally"
    assert kinds[-1] == "breaker_recovered_locally"
    assert kinds.count("breaker_recovered_locally") == 1
    assert shared.state() == "closed"


@pytest.mark.parametrize("consistency", ["cached", "exact"])
def test_it_opens_for_all_only_after_failures_in_min_failing_processes(
    consistency: str, fleet: Callable[..., Team], shared: SharedState
) -> None:
    three = fleet(3, consistency=consistency)
    three.all(
        bad_node.register,
        recovery_timeout=60.0,
        min_failing_processes=3,
        failure_rate_threshold=None,
    )

    assert set(three[0].run(breakers.arecord_failures, 6)) == {"closed"}, "for the fleet"
    assert three[0].run(breakers.is_available) is False
    assert three[0].run(bad_node.explain)[1] == "open_locally"
    three[1].run(breakers.arecord_failure)
    assert shared.state() == "closed"
    assert three[2].run(registries.find)

    three[2].run(breakers.arecord_failure)

    assert shared.state() == "open"
    assert shared.events("breaker_opened")[0]["actor"] == three[2].process_id
    wait_until(lambda: three.all(bad_node.explain)[0][1] == "open")
    wait_until(lambda: shared.events("breaker_recovered_locally") != [])


def test_failures_in_the_whole_fleet_cause_no_local_trip(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    two = fleet(2, consistency="cached")
    two.all(bad_node.register, recovery_timeout=60.0)

    two[0].run(breakers.flush_failures, 5)

    assert shared.state() == "open"
    assert two[0].run(bad_node.explain)[1] == "open"
    assert shared.events("breaker_tripped_locally", "breaker_recovered_locally") == []


def test_an_operator_can_end_a_local_trip(fleet: Callable[..., Team], shared: SharedState) -> None:
    two = fleet(2, consistency="cached")
    two.all(bad_node.register, recovery_timeout=60.0, min_failing_processes=2)
    two[0].run(bad_node.fail_and_flush)
    assert two[0].run(bad_node.explain)[1] == "open_locally"
    assert two[0].process_id in shared.local_trips()

    two[1].run(breakers.reset, "mended")

    wait_until(lambda: two[0].run(bad_node.explain)[0] == "chosen")
    wait_until(lambda: two[0].process_id not in shared.local_trips())


@pytest.mark.parametrize("needed", [1, pytest.param(2, marks=pytest.mark.long_run)])
def test_failures_during_an_outage_open_it_for_all_only_if_enough_processes_had_them(
    needed: int, server: Server, borrow: Callable[..., Team]
) -> None:
    two = borrow(2, server.url, "cached", store_timeout=STORE_TIMEOUT)
    two.all(bad_node.register, recovery_timeout=60.0, min_failing_processes=needed)
    server.freeze()
    wait_for(two, "lost")
    bad, well = two
    assert bad.run(bad_node.fail_offline) is False
    assert bad.run(bad_node.explain)[1] == ("open" if needed == 1 else "open_locally")
    assert well.run(bad_node.explain)[0] == "chosen"

    server.thaw()
    wait_for(two, "connected")
    two.all(registries.flush)

    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        assert shared.state() == ("open" if needed == 1 else "closed")
        assert bad.run(bad_node.explain)[1] == ("open" if needed == 1 else "open_locally")
        trips = shared.events("breaker_tripped_locally")
        assert [event["actor"] for event in trips] == [bad.process_id] * (needed - 1)
    wait_until(lambda: (well.run(bad_node.explain)[0] == "chosen") is (needed == 2))
