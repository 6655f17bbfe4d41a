"""How many processes must have failed before a breaker opens for all, and what is kept for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_calls import (
    RETENTION,
    callers,
    configure,
    isolate,
    local_trips,
    merge,
    override,
    record,
    reset,
    tally,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

TWO = CircuitBreakerConfig(
    failure_threshold=3, min_failing_processes=2, failure_rate_threshold=None
)
RATE = CircuitBreakerConfig(failure_threshold=100, minimum_calls=4, window=10.0)


def test_a_streak_of_one_process_does_not_open_what_needs_two(server: LuaServer) -> None:
    configure(server, TWO)
    assert [record(server)[0] for _ in range(9)] == ["counted"] * 9

    assert record(server, process="B")[0] == "opened"
    assert server.events()[-1]["reason"] == "10 failures in a row"


def test_who_failed_before_the_streak_is_not_in_it(server: LuaServer) -> None:
    configure(server, TWO)
    record(server, process="B")
    server.clock.now += 1
    record(server, "success", process="B")
    server.clock.now += 1

    assert [record(server)[0] for _ in range(5)] == ["counted"] * 5


def test_the_rate_needs_two_that_fail_where_two_are_calling(server: LuaServer) -> None:
    configure(server, RATE)
    for _ in range(10):
        assert record(server)[0] == "counted"
        assert record(server, "success", process="B")[0] == "counted"

    assert record(server, process="B")[0] == "opened"


def test_the_rate_needs_one_where_nobody_else_calls(server: LuaServer) -> None:
    configure(server, RATE)
    record(server, "success", process="B")
    server.clock.now += 10_000  # it has not called within the window
    outcomes = [record(server, one)[0] for one in ("failure", "success", "failure", "success")]

    assert outcomes == ["counted", "counted", "counted", "opened"]


def test_what_one_process_learned_alone_does_not_open_what_needs_two(server: LuaServer) -> None:
    configure(server, TWO)

    assert merge(server, failures=7, state="open")[0] == "changed"
    assert merge(server, failures=1, process="B")[0] == "opened"


def test_who_calls_and_who_fails_is_kept_as_long_as_it_is_needed(server: LuaServer) -> None:
    configure(server, RATE)
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
    tally(server, ("openai", 1, 0, ""), process="C")

    assert set(callers(server)) == {"called|B", "failed|B", "called|C"}
    left = server.expiries()[KEYS.callers("openai")] - server.clock.now
    assert left > RETENTION - 1_000


def test_a_reset_forgets_callers_and_leaves_local_trips(server: LuaServer) -> None:
    configure(server, TWO)
    record(server)
    isolate(server, 5_000, "B")

    reset(server)

    assert callers(server) == {}
    assert local_trips(server) == {"B": START + 5_000}


def test_reporters_that_cannot_be_read_keep_nothing_from_opening(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=2))
    record(server)
    server.client.set(KEYS.callers("openai"), "somebody's text")

    assert record(server)[0] == "opened"
    assert callers(server) == {"called|A": START, "failed|A": START}


def test_a_process_says_that_it_is_open_there(server: LuaServer) -> None:
    configure(server)
    version = server.dump()[KEYS.meta][0]

    assert isolate(server, 5_000)[:2] == ["changed", str(START)]

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
    assert server.dump()[KEYS.meta][0] == version, "nobody else has to read anything"
    assert "revision" not in server.entries()[0]

    assert isolate(server, 0)[0] == "changed"
    assert local_trips(server) == {}
    assert server.events()[-1]["kind"] == "breaker_recovered_locally"


@pytest.mark.parametrize("why", ["open", "an operator's word", "missing"])
def test_what_all_have_decided_stands_above_it(server: LuaServer, why: str) -> None:
    if why != "missing":
        configure(server)
    if why == "open":
        record(server)
        record(server)
    elif why == "an operator's word":
        override(server, "closed")

    word = isolate(server, 5_000, writes=False)[0]

    assert word == ("missing" if why == "missing" else "unchanged")
