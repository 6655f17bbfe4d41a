"""Batched successes, reported for many breakers in one call and after they ended."""

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
    record_successes,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

FIVE_FAILURES = CircuitBreakerConfig(failure_threshold=5)


def stored(server: LuaServer, *names: str, provider: str = "openai") -> list[int]:
    found = server.dump()[KEYS.breaker(provider)][0]
    return [int(found[name]) for name in names]


def streak(server: LuaServer) -> list[int]:
    """Its length, and when it began after the start of the test."""
    count, since = stored(server, "consecutive_failures", "streak_started_at")
    return [count, since - START if since else 0]


def fail_at(server: LuaServer, *times: int) -> None:
    for time in times:
        server.clock.now = START + time
        record(server, "failure")


def test_a_success_after_the_latest_failure_ends_the_streak_however_late_its_report_is(
    server: LuaServer,
) -> None:
    configure(server, FIVE_FAILURES)
    fail_at(server, 10, 20, 30)
    server.clock.now = START + 900

    assert record_successes(server, ("openai", 7, 870, "")) == ["counted"]

    assert streak(server) == [0, 0]
    assert stored(server, "total_successes") == [7]


def test_a_success_within_a_streak_leaves_the_latest_failure(server: LuaServer) -> None:
    configure(server, FIVE_FAILURES)
    fail_at(server, 10, 20, 30)
    server.clock.now = START + 900

    assert record_successes(server, ("openai", 7, 871, "")) == ["counted"]
    assert streak(server) == [1, 30]

    fail_at(server, 901)
    assert streak(server) == [2, 30]


def test_a_success_from_before_a_streak_does_not_change_it(server: LuaServer) -> None:
    configure(server, FIVE_FAILURES)
    fail_at(server, 10, 20, 30)
    server.clock.now = START + 900

    assert record_successes(server, ("openai", 7, 890, "")) == ["counted"]

    assert streak(server) == [3, 10]
    assert stored(server, "total_successes") == [7]


def test_batched_successes_are_reported_with_the_next_failure(server: LuaServer) -> None:
    configure(server, FIVE_FAILURES)
    fail_at(server, 10, 20)
    server.clock.now = START + 30

    reply = record(server, "failure", successes=4, age=5)

    assert reply[0] == "counted"
    assert streak(server) == [1, 30]
    assert stored(server, "total_successes", "total_failures") == [4, 3]


def test_old_successes_reported_with_a_failure_do_not_end_the_streak(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=3))
    fail_at(server, 10, 20)

    assert record(server, "failure", successes=4, age=15)[0] == "opened"

    assert streak(server) == [3, 10]


def test_successes_reported_with_a_permit_count_in_the_totals_only(server: LuaServer) -> None:
    opened(server)
    acquire(server, "A|1")

    assert record(server, "released", "A|1", successes=4, age=5)[0] == "counted"

    assert stored(server, "total_successes", "probe_successes") == [4, 0]


def test_successes_that_complete_the_minimum_of_calls_can_open_a_breaker(
    server: LuaServer,
) -> None:
    configure(server, CircuitBreakerConfig(minimum_calls=4))
    record(server)
    record(server)

    assert record_successes(server, ("openai", 2, 0, "")) == ["opened"]

    assert server.events()[-1] == {
        "kind": "breaker_opened",
        "provider": "openai",
        "actor": "A",
        "reason": "2 of 4 calls failed within the window",
    }
    assert acquire(server, "A|1", writes=False)[2] == "open"


def test_an_outcome_is_stale_if_the_successes_before_it_opened_the_breaker(
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


def test_successes_of_another_generation_or_during_an_override_are_stale(
    server: LuaServer,
) -> None:
    configure(server)
    record(server)

    assert record_successes(server, ("openai", 2, 0, 5)) == ["stale"]
    override(server, "closed")
    assert record_successes(server, ("openai", 2, 0, 1)) == ["stale"]

    assert stored(server, "total_successes", "consecutive_failures") == [4, 1]


def test_a_missing_or_damaged_breaker_does_not_affect_the_others(
    server: LuaServer,
) -> None:
    configure(server)
    server.client.set(KEYS.breaker("damaged"), "not a breaker")

    codes = record_successes(server, ("damaged", 1, 0, ""), ("gone", 1, 0, ""), ("openai", 2, 0, 0))

    assert codes == ["missing", "missing", "counted"]
    assert stored(server, "total_successes") == [2]
    assert KEYS.breaker("gone") not in server.dump()


def test_one_call_can_report_two_generations_of_a_breaker(server: LuaServer) -> None:
    configure(server)
    record(server)

    assert record_successes(server, ("openai", 2, 0, 8), ("openai", 3, 0, 0)) == [
        "stale",
        "counted",
    ]

    assert stored(server, "total_successes", "consecutive_failures") == [5, 0]


def test_batched_successes_renew_the_expiry_of_a_breaker(server: LuaServer) -> None:
    configure(server)
    server.clock.now += 50_000

    record_successes(server, ("openai", 1, 0, ""))

    left = server.expiries()[KEYS.breaker("openai")] - server.clock.now
    assert left > RETENTION - 1_000


def test_a_failure_after_closing_begins_a_new_streak(server: LuaServer) -> None:
    configure(
        server, CircuitBreakerConfig(failure_threshold=2, success_threshold=1, recovery_timeout=1.0)
    )
    fail_at(server, 10, 20)
    server.clock.now = START + 2_000
    assert record(server, "success", "untracked")[0] == "closed"
    assert streak(server) == [0, 0]

    # The success ended before the failure that opened the breaker, which no longer counts.
    assert record_successes(server, ("openai", 1, 1_985, "")) == ["counted"]
    assert streak(server) == [0, 0]

    fail_at(server, 2_100)
    assert streak(server) == [1, 2_100]
