from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_calls import (
    CONFIG,
    acquire,
    configure,
    cool_down,
    opened,
    override,
    record,
    reset,
    restore,
    state,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

OPEN: dict[str, str | int] = {
    "state": "open",
    "born": START - 9_000,
    "generation": 7,
    "consecutive_failures": 5,
    "consecutive_openings": 2,
    "opened_at": START - 400,
    "retry_at": START + 600,
    "changed_at": START - 400,
    "last_failure_at": START - 400,
    "cooldown_until": 0,
    "total_failures": 9,
}


def test_a_breaker_that_redis_has_lost_is_open_again(server: LuaServer) -> None:
    configure(server)

    reply = restore(server, OPEN)

    assert reply[:2] == ["restored", str(START)]
    shown = state(reply)
    then = OPEN | {"generation": 8}
    assert {name: shown[name] for name in then} == {n: str(value) for n, value in then.items()}
    stored = server.dump()[KEYS.breaker("openai")][0]
    assert {name: stored[name] for name in shown} == shown
    assert server.events() == [
        {
            "kind": "breaker_restored",
            "provider": "openai",
            "actor": "A",
            "reason": "Redis had lost the state",
            "state": "open",
        }
    ]
    assert server.dump()[KEYS.meta][0]["revision"] == "2"
    assert acquire(server, "A|1", writes=False)[:4] == [
        "refused",
        str(START),
        "open",
        str(START + 600),
    ]


def test_a_second_process_that_remembers_it_changes_nothing(server: LuaServer) -> None:
    configure(server)
    restore(server, OPEN)

    assert restore(server, OPEN, writes=False)[0] == "unchanged"


def test_a_later_state_of_another_life_stays_and_goes_on_counting_generations(
    server: LuaServer,
) -> None:
    configure(server)
    reset(server)

    reply = restore(server, OPEN)

    assert (state(reply)["state"], state(reply)["generation"]) == ("closed", "8")
    assert restore(server, OPEN, writes=False)[0] == "unchanged"
    assert record(server, generation=7)[0] == "stale", "it was admitted before the loss"


def test_one_call_restores_settings_and_state(server: LuaServer) -> None:
    reply = restore(server, OPEN, config=CONFIG)

    assert reply[0] == "restored"
    assert {name: state(reply)[name] for name in OPEN} == {n: str(v) for n, v in OPEN.items()}
    stored = server.dump()[KEYS.breaker("openai")][0]
    assert stored["failure_threshold"] == "2"
    assert acquire(server, "A|1", writes=False)[2] == "open"
    assert restore(server, OPEN, config=CONFIG, writes=False)[0] == "unchanged"


def test_settings_that_redis_has_stay(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=9))

    restore(server, OPEN, config=CONFIG)

    assert server.dump()[KEYS.breaker("openai")][0]["failure_threshold"] == "9"


def test_of_two_processes_the_one_that_knows_the_later_generation_is_believed(
    server: LuaServer,
) -> None:
    restore(server, OPEN, config=CONFIG)

    closed = OPEN | {"state": "closed", "generation": 8, "changed_at": START - 100}
    assert state(restore(server, closed, config=CONFIG))["state"] == "closed"
    assert restore(server, OPEN, config=CONFIG, writes=False)[0] == "unchanged"
    assert restore(server, closed, config=CONFIG, writes=False)[0] == "unchanged"


def test_of_two_decisions_of_one_millisecond_the_later_one_is_not_lost(server: LuaServer) -> None:
    configure(server)
    record(server)
    opening = record(server)
    assert opening[0] == "opened"
    forced = state(override(server, "open"))
    assert forced["changed_at"] == state(opening)["changed_at"]
    server.begin()

    restore(server, state(opening), config=CONFIG)
    restore(server, forced, config=CONFIG)

    assert acquire(server, "A|1", writes=False)[2] == "forced_open"


def test_after_a_step_back_of_the_clock_an_older_state_does_not_come_back(
    server: LuaServer,
) -> None:
    opened(server)
    before = state(acquire(server, "A|1", writes=True))
    server.clock.now -= 600_000
    reset(server)

    reply = restore(server, before | {"state": "open"}, server.clock.now, writes=False)

    assert (reply[0], state(reply)["state"]) == ("unchanged", "closed")
    assert int(state(reply)["generation"]) > int(before["generation"])


@pytest.mark.parametrize("remembers", ["override", "opening"])
def test_between_two_lives_at_one_time_the_operators_word_stays(
    server: LuaServer, remembers: str
) -> None:
    configure(server)
    override(server, "closed")
    forced = state(override(server, "open"))
    server.begin()
    server.clock.now += 1
    configure(server)
    server.clock.now -= 1
    if remembers == "override":
        record(server)
        record(server)
        restore(server, forced, config=CONFIG)
    else:
        override(server, "open")
        restore(server, OPEN | {"changed_at": START}, config=CONFIG)

    assert acquire(server, "A|1", writes=False)[2] == "forced_open"


def test_between_two_lives_at_one_time_the_open_state_stays(server: LuaServer) -> None:
    configure(server)
    reset(server)

    restore(server, OPEN | {"changed_at": START})

    assert acquire(server, "A|1", writes=False)[2] == "open"


def test_a_cooldown_that_a_reset_has_cleared_does_not_come_back(server: LuaServer) -> None:
    configure(server)
    cooling = state(cool_down(server, 9_000))
    reset(server)

    assert restore(server, cooling, config=CONFIG, writes=False)[0] == "unchanged"


def test_permits_of_the_replaced_state_are_removed(server: LuaServer) -> None:
    opened(server)
    acquire(server, "A|1")

    restore(server, OPEN | {"changed_at": server.clock.now - 1})
    assert KEYS.permits("openai") in server.dump()

    server.clock.now += 1
    restore(server, OPEN | {"changed_at": server.clock.now, "generation": 99}, server.clock.now)
    assert KEYS.permits("openai") not in server.dump()


def test_a_cooldown_is_restored_even_if_the_state_has_changed_since(server: LuaServer) -> None:
    configure(server)
    override(server, "closed")
    override(server, "")

    reply = restore(server, OPEN | {"cooldown_until": START + 5_000})

    assert reply[0] == "restored"
    assert state(reply)["state"] == "closed"
    assert state(reply)["cooldown_until"] == str(START + 5_000)


def test_of_two_cooldowns_the_later_one_stays(server: LuaServer) -> None:
    configure(server)
    cool_down(server, 9_000)

    reply = restore(server, OPEN | {"cooldown_until": START + 5_000})

    assert reply[0] == "restored"
    assert state(reply)["cooldown_until"] == str(START + 9_000)


def test_a_cooldown_that_is_over_is_not_restored(server: LuaServer) -> None:
    configure(server)

    assert restore(server, {"cooldown_until": START}, writes=False)[0] == "unchanged"


def test_a_server_whose_clock_is_behind_lengthens_no_wait(server: LuaServer) -> None:
    configure(server)
    ahead = 3_600_000

    shown = state(
        restore(
            server,
            OPEN
            | {
                "opened_at": START + ahead,
                "retry_at": START + ahead + 1_000,
                "changed_at": START + ahead,
            },
        )
    )

    assert shown["opened_at"] == str(START)
    assert shown["retry_at"] == str(START + 1_000)
    assert shown["changed_at"] == str(START)


def test_every_time_of_a_server_whose_clock_was_ahead_moves_by_the_difference(
    server: LuaServer,
) -> None:
    configure(server)
    ahead = 3_600_000
    times = {
        "opened_at": START - 500,
        "retry_at": START + 700,
        "changed_at": START - 400,
        "last_failure_at": START - 500,
        "streak_started_at": START - 900,
        "warned_at": START - 600,
        "cooldown_until": START + 5_000,
        "override_until": START + 60_000,
    }
    then: dict[str, str | int] = {name: time + ahead for name, time in times.items()}

    shown = state(restore(server, OPEN | {"override": "open"} | then, START + ahead))

    assert {name: int(shown[name]) for name in times} == times


def test_an_override_without_an_end_has_none_on_a_server_whose_clock_is_behind(
    server: LuaServer,
) -> None:
    configure(server)

    forced: dict[str, str | int] = {"override": "open", "override_until": 0}
    shown = state(restore(server, OPEN | forced, START + 9_000_000))

    assert (shown["override"], shown["override_until"], shown["cooldown_until"]) == (
        "open",
        "0",
        "0",
    )


def test_a_server_whose_clock_is_ahead_shortens_no_wait(server: LuaServer) -> None:
    behind = 3_600_000
    times: dict[str, str | int] = {
        "opened_at": START - behind - 400,
        "retry_at": START - behind + 600,
        "changed_at": START - behind - 400,
        "cooldown_until": START - behind + 5_000,
    }

    shown = state(restore(server, OPEN | times, START - behind, CONFIG))

    assert {name: int(shown[name]) + int(-behind) for name in times} == times


def test_times_stay_if_the_request_only_arrives_late(server: LuaServer) -> None:
    configure(server)

    shown = state(restore(server, OPEN, START - 3_000))

    assert int(shown["retry_at"]) == OPEN["retry_at"]


@pytest.mark.parametrize("hour", [3_600_000, -3_600_000])
def test_a_clock_that_is_set_by_an_hour_neither_prolongs_nor_ends_a_wait(
    server: LuaServer, hour: int
) -> None:
    opened(server)
    record(server, "failure", "untracked")
    cool_down(server, 5_000)
    known = state(override(server, "open", 7_000))
    seen_at = server.clock.now
    server.clock.now += hour

    shown = state(restore(server, known, seen_at, CONFIG))

    waits = ("retry_at", "cooldown_until", "override_until")
    assert {name: int(shown[name]) - hour for name in waits} == {n: int(known[n]) for n in waits}
    assert shown["generation"] == known["generation"]
    server.clock.now += 1
    assert restore(server, known, seen_at + 1, CONFIG, writes=False)[0] == "unchanged"


def test_a_process_that_sees_an_opening_in_the_future_cuts_its_wait(server: LuaServer) -> None:
    opened(server)
    known = state(record(server, "failure", "untracked"))
    server.clock.now -= 3_600_000

    shown = state(restore(server, known, server.clock.now, CONFIG))

    assert int(shown["retry_at"]) == server.clock.now + 1_000


def test_an_override_is_restored_as_it_was_written(server: LuaServer) -> None:
    configure(server)

    forced: dict[str, str | int] = {"override": "open", "override_until": START + 60_000}
    restore(server, OPEN | forced | {"override_reason": "1e3", "override_actor": "007"})

    stored = server.dump()[KEYS.breaker("openai")][0]
    assert (stored["override"], stored["override_until"]) == ("open", str(START + 60_000))
    assert (stored["override_reason"], stored["override_actor"]) == ("1e3", "007")
    assert acquire(server, "A|1", writes=False)[2] == "forced_open"


def test_outcomes_counted_since_a_state_was_seen_stay_counted(server: LuaServer) -> None:
    """What a process remembered took the place of the totals that others had counted."""
    configure(server)
    record(server)
    record(server, "success")
    known = server.dump()[KEYS.breaker("openai")][0]
    for _ in range(3):
        record(server, "success")

    newer = {name: known[name] for name in ("born", "changed_at", "total_failures")}
    newer |= {"state": "open", "generation": 5, "total_successes": "1"}
    assert restore(server, newer)[0] == "restored"

    stored = server.dump()[KEYS.breaker("openai")][0]
    assert (stored["total_failures"], stored["total_successes"]) == ("1", "4")
