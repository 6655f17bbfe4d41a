"""Redis is back: what processes learned of a breaker meanwhile, and who leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_calls import (
    acquire,
    configure,
    cool_down,
    merge,
    opened,
    override,
    record,
    reset,
    state,
    tally,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from typing import Any

    from tests.lua.lua_server import LuaServer

FIVE = CircuitBreakerConfig(failure_threshold=5)


def numbers(reply: list[Any], *names: str) -> list[int]:
    shown = state(reply)
    return [int(shown[name]) for name in names]


def test_a_breaker_that_opened_in_one_process_opens_for_all(server: LuaServer) -> None:
    configure(server, FIVE)

    reply = merge(server, 2, 3, streak=1, state="open")

    assert reply[:2] == ["opened", str(START)]
    assert server.events() == [
        {
            "kind": "breaker_opened",
            "provider": "openai",
            "actor": "A",
            "reason": "opened by A while Redis was away: 3 of 5 calls failed",
        }
    ]
    assert numbers(reply, "generation", "consecutive_openings", "retry_at") == [
        1,
        1,
        START + 60_000,
    ]
    assert server.dump()[KEYS.meta][0]["revision"] == "2"
    assert acquire(server, "A|1", writes=False)[2] == "open"


def test_failures_of_several_processes_add_up(server: LuaServer) -> None:
    configure(server, FIVE)
    record(server)

    reply = merge(server, failures=2)
    assert reply[0] == "changed"
    assert numbers(reply, "consecutive_failures", "streak_started_at") == [3, START]

    server.clock.now += 10
    assert merge(server, failures=2)[0] == "opened"


def test_a_success_meanwhile_ends_the_streak_of_before(server: LuaServer) -> None:
    configure(server, FIVE)
    for _ in range(4):
        record(server)
    server.clock.now += 10

    reply = merge(server, 6, 7, streak=2)

    assert reply[0] == "changed"
    assert numbers(reply, "consecutive_failures", "streak_started_at") == [2, START + 10]
    assert numbers(merge(server, 1, 1, streak=0), "consecutive_failures", "streak_started_at") == [
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("age", "failures", "left"), [(0, 0, 0), (5, 0, 0), (15, 0, 1), (25, 0, 4), (15, 2, 3)]
)
def test_successes_meanwhile_end_a_streak_as_far_as_it_is_older_though_nothing_failed(
    server: LuaServer, age: int, failures: int, left: int
) -> None:
    """Without a failure they were ignored, and with one they ended a streak that was younger."""
    configure(server, FIVE)
    for _ in range(3):
        record(server)
    server.clock.now += 10
    record(server)
    server.clock.now += 10

    reply = merge(server, 100, failures, age=age)

    assert reply[0] == ("unchanged" if left == 4 else "changed")
    assert numbers(reply, "consecutive_failures") == [left]


def test_any_newer_success_ends_a_streak_that_was_merged(server: LuaServer) -> None:
    configure(server, FIVE)
    merge(server, failures=3)

    assert tally(server, ("openai", 1, 5, "")) == ["counted"]

    assert server.dump()[KEYS.breaker("openai")][0]["consecutive_failures"] == "0"


@pytest.mark.parametrize("why", ["generation", "override", "open"])
def test_otherwise_the_shared_state_leads_and_the_totals_grow(server: LuaServer, why: str) -> None:
    configure(server, FIVE)
    record(server)
    generation = 0
    if why == "generation":
        reset(server)
    elif why == "override":
        override(server, "closed")
        generation = 1
    else:
        merge(server, failures=4)
        generation = 1
    before = server.dump()[KEYS.breaker("openai")][0]
    told = server.kinds()

    reply = merge(server, 3, 9, generation=generation, state="open")

    assert reply[0] == "unchanged"
    totals = {
        "total_successes": str(int(before["total_successes"]) + 3),
        "total_failures": str(int(before["total_failures"]) + 9),
    }
    assert server.dump()[KEYS.breaker("openai")][0] == before | totals
    assert server.kinds() == told


def test_the_later_cooldown_stays(server: LuaServer) -> None:
    configure(server)
    cool_down(server, 5_000)

    assert merge(server, cooldown=4_000, writes=False)[0] == "unchanged"
    reply = merge(server, cooldown=6_000)

    assert reply[0] == "changed"
    assert numbers(reply, "cooldown_until") == [START + 6_000]
    assert server.events()[-1] == {
        "kind": "breaker_cooldown_started",
        "provider": "openai",
        "actor": "A",
        "reason": "received by A while Redis was away",
        "until": str(START + 6_000),
    }


def test_a_cooldown_is_merged_into_a_breaker_that_has_opened_since(server: LuaServer) -> None:
    opened(server)

    reply = merge(server, 1, 1, cooldown=6_000)

    assert reply[0] == "changed"
    assert state(reply)["state"] == "open"
    assert acquire(server, "A|1", writes=False)[2] == "cooling_down"


def test_one_who_learned_nothing_writes_nothing(server: LuaServer) -> None:
    configure(server)

    assert merge(server, state="open", writes=False)[0] == "unchanged"


@pytest.mark.parametrize("probing", [False, True])
def test_a_probe_that_failed_meanwhile_opens_it_again_for_what_is_left(
    server: LuaServer, probing: bool
) -> None:
    """It was probed again as soon as Redis was back, though it had just said no."""
    opened(server)
    if probing:
        assert acquire(server, "A|1")[0] == "permit"
    generation = 2 if probing else 1

    reply = merge(server, failures=1, generation=generation, state="open", wait=700)

    assert reply[0] == "opened"
    now = server.clock.now
    assert state(reply)["state"] == "open"
    assert numbers(reply, "generation", "opened_at", "retry_at") == [
        generation + 1,
        now,
        now + 700,
    ]
    assert server.events()[-1]["kind"] == "breaker_opened"
    assert acquire(server, "B|1", writes=False)[2] == "open"
    again = merge(server, failures=1, generation=generation, state="open", wait=700)
    assert again[0] == "unchanged", "somebody else has been before"
    server.clock.now += 700
    assert acquire(server, "B|2")[0] == "permit"


def test_it_waits_no_longer_than_after_any_probe_that_failed(server: LuaServer) -> None:
    opened(server)
    longest = int(server.dump()[KEYS.breaker("openai")][0]["recovery_timeout_ms"])

    reply = merge(server, failures=1, generation=1, state="open", wait=10**9)

    assert numbers(reply, "retry_at") == [server.clock.now + longest]


@pytest.mark.parametrize("why", ["its time has not come", "nothing failed", "an override"])
def test_else_an_open_breaker_stays_as_it_is(server: LuaServer, why: str) -> None:
    opened(server)
    generation = 1
    if why == "its time has not come":
        server.clock.now -= 1
    elif why == "an override":
        override(server, "closed")
        generation = 2
    before = server.dump()[KEYS.breaker("openai")][0]["retry_at"]
    failures = 0 if why == "nothing failed" else 1

    reply = merge(server, 1, failures, generation=generation, state="open", wait=700)

    assert reply[0] == "unchanged"
    assert state(reply)["retry_at"] == before
