"""A process whose calls alone fail stops by itself; the others are not affected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.fleet.outages import STORE_TIMEOUT, wait_for
from tests.fleet.shared_state import SharedState
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

REGISTER = """
    config = CircuitBreakerConfig(failure_threshold=5, recovery_timeout={recovery}, **{more!r})
    registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=config)
    await registry.flush()
    assert await registry.get_service("h", "llm") is not None
    await asyncio.sleep(0.1)
"""

CALLING = """
    calls = refused = 0
    until = time.monotonic() + {seconds}
    while time.monotonic() < until:
        if await registry.get_service("h", "llm") is None:
            refused += 1
        else:
            calls += 1
            {report}
        await asyncio.sleep(0.02)
    await registry.flush()
    return [calls, refused]
"""

GUARDED = """
    calls = refused = 0

    async def use(_):
        if "{outcome}" == "failure":
            raise ConnectionError

    until = time.monotonic() + {seconds}
    while time.monotonic() < until:
        try:
            await registry.call("h", "llm", use)
        except NoProviderError:
            refused += 1
        except ConnectionError:
            calls += 1
        else:
            calls += 1
        await asyncio.sleep(0.02)
    await registry.flush()
    return [calls, refused]
"""

WAYS = {
    "guarded": "",
    "plain": "handle.record_{outcome}()",
    "awaited": "await handle.arecord_{outcome}()",
}

EXPLAIN = """
    [explained] = await registry.explain("h", "llm")
    return [explained.verdict, explained.reason, explained.retry_after]
"""


def register(team: Team, recovery: float, **more: Any) -> None:
    team.all(REGISTER.format(recovery=recovery, more=more))


def calling(way: str, outcome: str, seconds: float) -> str:
    if way == "guarded":
        return GUARDED.format(outcome=outcome, seconds=seconds)
    return CALLING.format(report=WAYS[way].format(outcome=outcome), seconds=seconds)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("consistency", ["cached", "exact"])
def test_a_process_that_always_fails_stops_within_its_threshold_and_three_others_go_on(
    consistency: str, way: str, fleet: Callable[..., Team], shared: SharedState
) -> None:
    four = fleet(4, consistency=consistency)
    register(four, recovery=60.0)
    bad, *well = four.agents
    for one in well:
        one.begin(calling(way, "success", 2.0))
    calls, refused = bad.run(calling(way, "failure", 1.5))
    others = [one.end() for one in well]

    assert calls <= 5
    assert refused > 10
    assert [refused for _, refused in others] == [0, 0, 0]
    assert shared.state() == "closed"
    assert shared.events("breaker_opened") == []
    [event] = shared.events("breaker_tripped_locally")
    assert event["actor"] == bad.process_id
    verdict, reason, retry_after = bad.run(EXPLAIN)
    assert (verdict, reason) == ("rejected", "open_locally")
    assert 50 < retry_after <= 60
    assert [one.run(EXPLAIN)[:2] for one in well] == [["chosen", "in order"]] * 3


@pytest.mark.parametrize("consistency", ["cached", "exact"])
def test_it_comes_back_by_its_own_trial(
    consistency: str, fleet: Callable[..., Team], shared: SharedState
) -> None:
    two = fleet(2, consistency=consistency)
    register(two, recovery=0.5)
    bad, well = two
    well.begin(calling("plain", "success", 1.5))
    calls, _ = bad.run(calling("awaited", "failure", 1.3))
    assert well.end()[1] == 0
    assert 6 <= calls <= 7, "five, and one trial each half second"

    wait_until(lambda: bad.run("return handle.is_available()"))
    assert bad.run("""
        at_once = [await registry.get_service("h", "llm") is not None for _ in range(5)]
        await handle.arecord_success()
        after = [await registry.get_service("h", "llm") is not None for _ in range(5)]
        await registry.flush()
        return [at_once, after]
    """) == [[True] + [False] * 4, [True] * 5]

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
    register(three, recovery=60.0, min_failing_processes=3, failure_rate_threshold=None)
    fail = "return [(await handle.arecord_failure()).value for _ in range({times})]"

    assert set(three[0].run(fail.format(times=6))) == {"closed"}, "for the fleet"
    assert three[0].run("return handle.is_available()") is False
    assert three[0].run(EXPLAIN)[1] == "open_locally"
    three[1].run(fail.format(times=1))
    assert shared.state() == "closed"
    assert three[2].run('return await registry.get_service("h", "llm") is not None')

    three[2].run(fail.format(times=1))

    assert shared.state() == "open"
    assert shared.events("breaker_opened")[0]["actor"] == three[2].process_id
    wait_until(lambda: three.all(EXPLAIN)[0][1] == "open")
    wait_until(lambda: shared.events("breaker_recovered_locally") != [])


def test_failures_in_the_whole_fleet_cause_no_local_trip(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    two = fleet(2, consistency="cached")
    register(two, recovery=60.0)

    two[0].run("""
        for _ in range(5):
            handle.record_failure()
        await registry.flush()
    """)

    assert shared.state() == "open"
    assert two[0].run(EXPLAIN)[1] == "open"
    assert shared.events("breaker_tripped_locally", "breaker_recovered_locally") == []


def test_an_operator_can_end_a_local_trip(fleet: Callable[..., Team], shared: SharedState) -> None:
    two = fleet(2, consistency="cached")
    register(two, recovery=60.0, min_failing_processes=2)
    two[0].run("[await handle.arecord_failure() for _ in range(5)]\nawait registry.flush()")
    assert two[0].run(EXPLAIN)[1] == "open_locally"
    assert two[0].process_id in shared.local_trips()

    two[1].run("await handle.areset('mended')")

    wait_until(lambda: two[0].run(EXPLAIN)[0] == "chosen")
    wait_until(lambda: two[0].process_id not in shared.local_trips())


@pytest.mark.parametrize("needed", [1, 2])
def test_failures_during_an_outage_open_it_for_all_only_if_enough_processes_had_them(
    needed: int, server: Server, borrow: Callable[..., Team]
) -> None:
    two = borrow(2, server.url, "cached", store_timeout=STORE_TIMEOUT)
    register(two, recovery=60.0, min_failing_processes=needed)
    server.freeze()
    wait_for(two, "lost")
    bad, well = two
    fail = "return [handle.record_failure() for _ in range(5)] and handle.is_available()"
    assert bad.run(fail) is False
    assert bad.run(EXPLAIN)[1] == ("open" if needed == 1 else "open_locally")
    assert well.run(EXPLAIN)[0] == "chosen"

    server.thaw()
    wait_for(two, "connected")
    two.all("await registry.flush()")

    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        assert shared.state() == ("open" if needed == 1 else "closed")
        assert bad.run(EXPLAIN)[1] == ("open" if needed == 1 else "open_locally")
        trips = shared.events("breaker_tripped_locally")
        assert [event["actor"] for event in trips] == [bad.process_id] * (needed - 1)
    wait_until(lambda: (well.run(EXPLAIN)[0] == "chosen") is (needed == 2))
