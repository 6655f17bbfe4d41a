"""Successes that a process has gathered, reported for many breakers at once, and late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_calls import (
    RETENTION,
    acquire,
    configure,
    opened,
    override,
    record,
    tally,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

PATIENT = CircuitBreakerConfig(failure_threshold=5)


def stored(server: LuaServer, *names: str, provider: str = "openai") -> list[int]:
    found = server.dump()[KEYS.breaker(provider)][0]
    return [int(found[name]) for name in names]


def streak(server: LuaServer) -> list[int]:
    """How long it is, and when it began, counted from the test's beginning."""
    count, since = stored(server, "consecutive_failures", "streak_started_at")
    return [count, since - START if since else 0]


def fail_at(server: LuaServer, *times: int) -> None:
    for time in times:
        server.clock.now = START + time
        record(server, "failure")


def test_a_success_after_the_latest_failure_ends_the_streak_however_late_it_is_told(
    server: LuaServer,
) -> None:
    configure(server, PATIENT)
    fail_at(server, 10, 20, 30)
    server.clock.now = START + 900

    assert tally(server, ("openai", 7, 870, "")) == ["counted"]

    assert streak(server) == [0, 0]
    assert stored(server, "total_successes") == [7]


def test_a_success_in_the_midst_of_a_streak_leaves_the_failure_after_it(server: LuaServer) -> None:
    configure(server, PATIENT)
    fail_at(server, 10, 20, 30)
    server.clock.now = START + 900

    assert tally(server, ("openai", 7, 871, "")) == ["counted"]
    assert streak(server) == [1, 30]

    fail_at(server, 901)
    assert streak(server) == [2, 30]


def test_a_success_from_before_a_streak_does_not_change_it(server: LuaServer) -> None:
    configure(server, PATIENT)
    fail_at(server, 10, 20, 30)
    server.clock.now = START + 900

    assert tally(server, ("openai", 7, 890, "")) == ["counted"]

    assert streak(server) == [3, 10]
    assert stored(server, "total_successes") == [7]


def test_successes_gathered_before_a_failure_are_told_with_it(server: LuaServer) -> None:
    configure(server, PATIENT)
    fail_at(server, 10, 20)
    server.clock.now = START + 30

    reply = record(server, "failure", successes=4, age=5)

    assert reply[0] == "counted"
    assert streak(server) == [1, 30]
    assert stored(server, "total_successes", "total_failures") == [4, 3]


def test_old_successes_told_with_a_failure_do_not_end_the_streak(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=3))
    fail_at(server, 10, 20)

    assert record(server, "failure", successes=4, age=15)[0] == "opened"

    assert streak(server) == [3, 10]


def test_successes_told_with_a_permit_count_in_the_totals_only(server: LuaServer) -> None:
    opened(server)
    acquire(server, "A|1")

    assert record(server, "released", "A|1", successes=4, age=5)[0] == "counted"

    assert stored(server, "total_successes", "probe_successes") == [4, 0]


def test_successes_that_complete_the_minimum_open_a_breaker_that_fails_too_often(
    server: LuaServer,
) -> None:
    configure(server, CircuitBreakerConfig(minimum_calls=4))
    record(server)
    record(server)

    assert tally(server, ("openai", 2, 0, "")) == ["opened"]

    assert server.events()[-1] == {
        "kind": "breaker_opened",
        "provider": "openai",
        "actor": "A",
        "reason": "2 of 4 calls failed within the window",
    }
    assert acquire(server, "A|1", writes=False)[2] == "open"


def test_an_outcome_comes_too_late_when_the_successes_before_it_have_opened_the_breaker(
    server: LuaServer,
) -> None:
    configure(server, CircuitBreakerConfig(minimum_calls=4))
    record(server)
    record(server)

    assert record(server, "failure", successes=2)[0] == "opened"

    assert stored(server, "total_failures", "consecutive_openings", "last_failure_at") == [
        3,
        1,
        START,
    ]
    assert server.kinds().count("breaker_opened") == 1


def test_successes_of_another_generation_or_under_an_operators_word_are_late(
    server: LuaServer,
) -> None:
    configure(server)
    record(server)

    assert tally(server, ("openai", 2, 0, 5)) == ["stale"]
    override(server, "closed")
    assert tally(server, ("openai", 2, 0, 1)) == ["stale"]

    assert stored(server, "total_successes", "consecutive_failures") == [4, 1]


def test_one_breaker_that_is_missing_or_damaged_does_not_keep_the_others_from_being_counted(
    server: LuaServer,
) -> None:
    configure(server)
    server.client.set(KEYS.breaker("damaged"), "somebody's text")

    words = tally(server, ("damaged", 1, 0, ""), ("gone", 1, 0, ""), ("openai", 2, 0, 0))

    assert words == ["missing", "missing", "counted"]
    assert stored(server, "total_successes") == [2]
    assert KEYS.breaker("gone") not in server.dump()


def test_one_breaker_can_be_told_of_two_generations_at_once(server: LuaServer) -> None:
    configure(server)
    record(server)

    assert tally(server, ("openai", 2, 0, 8), ("openai", 3, 0, 0)) == ["stale", "counted"]

    assert stored(server, "total_successes", "consecutive_failures") == [5, 0]


def test_gathered_successes_keep_a_breaker_alive(server: LuaServer) -> None:
    configure(server)
    server.clock.now += 50_000

    tally(server, ("openai", 1, 0, ""))

    left = server.expiries()[KEYS.breaker("openai")] - server.clock.now
    assert left > RETENTION - 1_000


def test_a_failure_after_a_close_begins_a_streak_of_its_own(server: LuaServer) -> None:
    configure(
        server, CircuitBreakerConfig(failure_threshold=2, success_threshold=1, recovery_timeout=1.0)
    )
    fail_at(server, 10, 20)
    server.clock.now = START + 2_000
    assert record(server, "success", "untracked")[0] == "closed"
    assert streak(server) == [0, 0]

    # It is older than the failure that opened the breaker, which counts no longer.
    assert tally(server, ("openai", 1, 1_985, "")) == ["counted"]
    assert streak(server) == [0, 0]

    fail_at(server, 2_100)
    assert streak(server) == [1, 2_100]
