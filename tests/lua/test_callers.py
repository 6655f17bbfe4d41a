"""How many processes must fail before a breaker opens for the fleet, and which are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_calls import (
    RETENTION,
    callers,
    configure,
    local_trips,
    merge,
    override,
    record,
    record_successes,
    reset,
    trip_local,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

TWO_PROCESSES = CircuitBreakerConfig(
    failure_threshold=3, min_failing_processes=2, failure_rate_threshold=None
)
BY_RATE = CircuitBreakerConfig(failure_threshold=100, minimum_calls=4, window=10.0)


def test_a_streak_of_one_process_does_not_open_a_breaker_that_needs_two(server: LuaServer) -> None:
    configure(server, TWO_PROCESSES)
    assert [record(server)[0] for _ in range(9)] == ["counted"] * 9

    assert record(server, process="B")[0] == "opened"
    assert server.events()[-1]["reason"] == "10 failures in a row"


def test_a_process_that_failed_before_the_streak_does_not_count_in_it(server: LuaServer) -> None:
    configure(server, TWO_PROCESSES)
    record(server, process="B")
    server.clock.now += 1
    record(server, "success", process="B")
    server.clock.now += 1

    assert [record(server)[0] for _ in range(5)] == ["counted"] * 5


def test_the_rate_needs_two_failing_processes_if_two_are_calling(server: LuaServer) -> None:
    configure(server, BY_RATE)
    for _ in range(10):
        assert record(server)[0] == "counted"
        assert record(server, "success", process="B")[0] == "counted"

    assert record(server, process="B")[0] == "opened"


def test_the_rate_needs_one_failing_process_if_it_calls_alone(server: LuaServer) -> None:
    configure(server, BY_RATE)
    record(server, "success", process="B")
    server.clock.now += 10_000  # it has not called within the window
    outcomes = [record(server, one)[0] for one in ("failure", "success", "failure", "success")]

    assert outcomes == ["counted", "counted", "counted", "opened"]


def test_offline_failures_of_one_process_do_not_open_a_breaker_that_needs_two(
    server: LuaServer,
) -> None:
    configure(server, TWO_PROCESSES)

    assert merge(server, failures=7, state="open")[0] == "changed"
    assert merge(server, failures=1, process="B")[0] == "opened"


def test_callers_are_stored_as_long_as_the_window_needs_them(server: LuaServer) -> None:
    configure(server, BY_RATE)
    record(server, process="A")
    server.clock.now += 20_000
    record(server, process="B")
    assert callers(server) == {
        "called|A": START,
        "failed|A": START,
        "called|B": START + 20_000,
        "failed|B": START + 20_000,
    }

    server.clock.now += 10_000
    record_successes(server, ("openai", 1, 0, ""), process="C")

    assert set(callers(server)) == {"called|B", "failed|B", "called|C"}
    left = server.expiries()[KEYS.callers("openai")] - server.clock.now
    assert left > RETENTION - 1_000


def test_a_reset_clears_callers_and_keeps_local_trips(server: LuaServer) -> None:
    configure(server, TWO_PROCESSES)
    record(server)
    trip_local(server, 5_000, "B")

    reset(server)

    assert callers(server) == {}
    assert local_trips(server) == {"B": START + 5_000}


def test_callers_that_cannot_be_read_do_not_keep_a_breaker_from_opening(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=2))
    record(server)
    server.client.set(KEYS.callers("openai"), "not callers")

    assert record(server)[0] == "opened"
    assert callers(server) == {"called|A": START, "failed|A": START}


def test_a_local_trip_is_recorded_with_an_event_and_no_revision(server: LuaServer) -> None:
    configure(server)
    version = server.dump()[KEYS.meta][0]

    assert trip_local(server, 5_000)[:2] == ["changed", str(START)]

    assert local_trips(server) == {"A": START + 5_000}
    assert server.events() == [
        {
            "kind": "breaker_tripped_locally",
            "provider": "openai",
            "actor": "A",
            "reason": "5 failures in a row of its own",
            "until": str(START + 5_000),
        }
    ]
    assert server.dump()[KEYS.meta][0] == version, "other processes need not read anything"
    assert "revision" not in server.entries()[0]

    assert trip_local(server, 0)[0] == "changed"
    assert local_trips(server) == {}
    assert server.events()[-1]["kind"] == "breaker_recovered_locally"


@pytest.mark.parametrize("why", ["open", "an override", "missing"])
def test_an_open_overridden_or_missing_breaker_records_no_local_trip(
    server: LuaServer, why: str
) -> None:
    if why != "missing":
        configure(server)
    if why == "open":
        record(server)
        record(server)
    elif why == "an override":
        override(server, "closed")

    code = trip_local(server, 5_000, writes=False)[0]

    assert code == ("missing" if why == "missing" else "unchanged")
