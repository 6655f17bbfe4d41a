"""Outcomes that processes recorded while Redis was away are merged into the shared breaker."""

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
    record_successes,
    reset,
    state,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from typing import Any

    from tests.lua.lua_server import LuaServer

FIVE_FAILURES = CircuitBreakerConfig(failure_threshold=5)


def numbers(reply: list[Any], *names: str) -> list[int]:
    shown = state(reply)
    return [int(shown[name]) for name in names]


def test_a_breaker_that_opened_in_one_process_opens_for_the_fleet(server: LuaServer) -> None:
    configure(server, FIVE_FAILURES)

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
    configure(server, FIVE_FAILURES)
    record(server)

    reply = merge(server, failures=2)
    assert reply[0] == "changed"
    assert numbers(reply, "consecutive_failures", "streak_started_at") == [3, START]

    server.clock.now += 10
    assert merge(server, failures=2)[0] == "opened"


def test_an_offline_success_ends_the_streak_before_it(server: LuaServer) -> None:
    configure(server, FIVE_FAILURES)
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
def test_offline_successes_end_the_failures_before_them_even_if_no_call_failed_offline(
    server: LuaServer, age: int, failures: int, left: int
) -> None:
    """Once, they were ignored without a failure, and ended a younger streak with one."""
    configure(server, FIVE_FAILURES)
    for _ in range(3):
        record(server)
    server.clock.now += 10
    record(server)
    server.clock.now += 10

    reply = merge(server, 100, failures, age=age)

    assert reply[0] == ("unchanged" if left == 4 else "changed")
    assert numbers(reply, "consecutive_failures") == [left]


def test_a_success_reported_after_the_merge_ends_a_merged_streak(server: LuaServer) -> None:
    configure(server, FIVE_FAILURES)
    merge(server, failures=3)

    assert record_successes(server, ("openai", 1, 5, "")) == ["counted"]

    assert server.dump()[KEYS.breaker("openai")][0]["consecutive_failures"] == "0"


@pytest.mark.parametrize("why", ["generation", "override", "open"])
def test_in_any_other_case_only_the_totals_change(server: LuaServer, why: str) -> None:
    configure(server, FIVE_FAILURES)
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
    kinds = server.kinds()

    reply = merge(server, 3, 9, generation=generation, state="open")

    assert reply[0] == "unchanged"
    totals = {
        "total_successes": str(int(before["total_successes"]) + 3),
        "total_failures": str(int(before["total_failures"]) + 9),
    }
    assert server.dump()[KEYS.breaker("openai")][0] == before | totals
    assert server.kinds() == kinds


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


def test_a_cooldown_is_merged_into_an_open_breaker(server: LuaServer) -> None:
    opened(server)

    reply = merge(server, 1, 1, cooldown=6_000)

    assert reply[0] == "changed"
    assert state(reply)["state"] == "open"
    assert acquire(server, "A|1", writes=False)[2] == "cooling_down"


def test_a_process_without_outcomes_writes_nothing(server: LuaServer) -> None:
    configure(server)

    assert merge(server, state="open", writes=False)[0] == "unchanged"


@pytest.mark.parametrize("probing", [False, True])
def test_an_offline_probe_that_failed_opens_it_again_for_the_rest_of_its_wait(
    server: LuaServer, probing: bool
) -> None:
    """Once, it was probed again as soon as Redis was back, though a probe had just failed."""
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
    assert again[0] == "unchanged", "the generation is another one now"
    server.clock.now += 700
    assert acquire(server, "B|2")[0] == "permit"


def test_the_wait_is_no_longer_than_after_any_failed_probe(server: LuaServer) -> None:
    opened(server)
    longest = int(server.dump()[KEYS.breaker("openai")][0]["recovery_timeout_ms"])

    reply = merge(server, failures=1, generation=1, state="open", wait=10**9)

    assert numbers(reply, "retry_at") == [server.clock.now + longest]


@pytest.mark.parametrize("why", ["no probe is due", "nothing failed", "an override"])
def test_in_any_other_case_an_open_breaker_does_not_change(server: LuaServer, why: str) -> None:
    opened(server)
    generation = 1
    if why == "no probe is due":
        server.clock.now -= 1
    elif why == "an override":
        override(server, "closed")
        generation = 2
    before = server.dump()[KEYS.breaker("openai")][0]["retry_at"]
    failures = 0 if why == "nothing failed" else 1

    reply = merge(server, 1, failures, generation=generation, state="open", wait=700)

    assert reply[0] == "unchanged"
    assert state(reply)["retry_at"] == before
