from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lua.breaker_calls import (
    acquire,
    configure,
    cool_down,
    opened,
    override,
    reset,
    restore,
    state,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

OPEN: dict[str, str | int] = {
    "state": "open",
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
    assert {name: shown[name] for name in OPEN} == {n: str(value) for n, value in OPEN.items()}
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


def test_a_later_state_stays(server: LuaServer) -> None:
    configure(server)
    reset(server)

    reply = restore(server, OPEN, writes=False)

    assert reply[0] == "unchanged"
    assert state(reply)["state"] == "closed"


def test_permits_of_the_replaced_state_are_removed(server: LuaServer) -> None:
    opened(server)
    acquire(server, "A|1")

    restore(server, OPEN | {"changed_at": server.clock.now})
    assert KEYS.permits("openai") in server.dump()

    server.clock.now += 1
    restore(server, OPEN | {"changed_at": server.clock.now})
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


def test_times_of_a_server_that_is_not_ahead_stay(server: LuaServer) -> None:
    configure(server)

    shown = state(restore(server, OPEN, START - 3_600_000))

    assert int(shown["retry_at"]) == OPEN["retry_at"]


def test_an_override_is_restored_as_it_was_written(server: LuaServer) -> None:
    configure(server)

    forced: dict[str, str | int] = {"override": "open", "override_until": START + 60_000}
    restore(server, OPEN | forced | {"override_reason": "1e3", "override_actor": "007"})

    stored = server.dump()[KEYS.breaker("openai")][0]
    assert (stored["override"], stored["override_until"]) == ("open", str(START + 60_000))
    assert (stored["override_reason"], stored["override_actor"]) == ("1e3", "007")
    assert acquire(server, "A|1", writes=False)[2] == "forced_open"
