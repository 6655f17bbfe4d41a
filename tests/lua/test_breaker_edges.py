"""Cases outside the breaker model: missing and damaged breakers, leases that end, expiries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_calls import (
    RETENTION,
    acquire,
    configure,
    cool_down,
    merge,
    opened,
    override,
    record,
    record_successes,
    reset,
    restore,
    state,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lua.lua_server import LuaServer


@pytest.mark.parametrize("damage", ["gone", "another type", "settings missing", "settings broken"])
@pytest.mark.parametrize(
    "operation",
    [
        lambda server: acquire(server, "A|1", writes=False),
        lambda server: record(server, writes=False),
        lambda server: override(server, "open", writes=False),
        lambda server: reset(server, writes=False),
        lambda server: cool_down(server, 1_000, writes=False),
        lambda server: restore(server, {"state": "open", "changed_at": START}, writes=False),
        lambda server: merge(server, 1, 5, state="open", cooldown=1_000, writes=False),
    ],
    ids=["acquire", "record", "override", "reset", "cool_down", "restore", "merge"],
)
def test_a_breaker_without_settings_is_missing(
    server: LuaServer, operation: Callable[[LuaServer], list[Any]], damage: str
) -> None:
    breaker = KEYS.breaker("openai")
    if damage == "another type":
        server.client.set(breaker, "not a breaker")
    elif damage != "gone":
        configure(server)
        server.client.hdel(breaker, "failure_threshold")
    if damage == "settings broken":
        server.client.hset(breaker, "failure_threshold", "many")

    assert operation(server) == ["missing"]


def test_a_breaker_key_of_another_type_is_replaced(server: LuaServer) -> None:
    server.client.set(KEYS.breaker("openai"), "not a breaker")

    assert configure(server)[0] == "created"
    assert acquire(server, "A|1", writes=False)[0] == "admitted"


def test_a_breaker_that_lost_its_settings_keeps_its_state(server: LuaServer) -> None:
    opened(server)
    server.client.hdel(KEYS.breaker("openai"), "window_ms")

    reply = configure(server)

    assert reply[0] == "created"
    assert state(reply)["state"] == "open"


def test_a_damaged_state_reads_as_that_of_a_new_breaker(server: LuaServer) -> None:
    opened(server)
    damage: dict[Any, Any] = {
        "state": "ajar",
        "generation": "nan",
        "consecutive_failures": "inf",
        "override": "?",
    }
    server.client.hset(KEYS.breaker("openai"), mapping=damage)

    reply = acquire(server, "A|1", writes=False)

    assert reply[0] == "admitted"
    shown = state(reply)
    assert (shown["state"], shown["override"]) == ("closed", "")
    assert (shown["generation"], shown["consecutive_failures"]) == ("0", "0")


def test_the_call_that_completes_the_minimum_can_open_it_even_if_it_succeeded(
    server: LuaServer,
) -> None:
    configure(server, CircuitBreakerConfig(failure_rate_threshold=0.5, minimum_calls=2))

    assert record(server, "failure")[0] == "counted"
    assert record(server, "success")[0] == "opened"

    assert server.events()[-1]["reason"] == "1 of 2 calls failed within the window"


@pytest.mark.parametrize("batched", [True, False])
def test_a_success_after_the_threshold_was_lowered_opens_nothing(
    server: LuaServer, *, batched: bool
) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=5))
    for _ in range(3):
        record(server)
    configure(server, CircuitBreakerConfig(failure_threshold=2), explicit=True)

    # The call ended before the streak began, so that the streak goes on.
    if batched:
        assert record_successes(server, ("openai", 1, 60_000, "")) == ["counted"]
    else:
        assert record(server, "released", successes=1, age=60_000)[0] == "stale"

    assert server.dump()[KEYS.breaker("openai")][0]["state"] == "closed"
    assert record(server)[0] == "opened"


def test_offline_successes_after_the_threshold_was_lowered_open_nothing(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=5))
    for _ in range(3):
        record(server)
    configure(server, CircuitBreakerConfig(failure_threshold=2), explicit=True)

    reply = merge(server, 1, 1, streak=0, generation=1, age=60_000)

    assert (reply[0], state(reply)["state"]) == ("unchanged", "closed")


def test_acquiring_an_expired_permit_again_lets_no_second_probe_through(
    server: LuaServer,
) -> None:
    opened(server)
    assert acquire(server, "A|1", lease=500)[0] == "permit"
    server.clock.now += 500

    assert acquire(server, "A|1", lease=500)[:3] == [
        "permit",
        str(server.clock.now),
        str(server.clock.now + 30_000),
    ]
    assert acquire(server, "B|1", writes=False)[2] == "half_open"


def test_a_permit_of_a_process_whose_lease_has_ended_is_stale(server: LuaServer) -> None:
    opened(server)
    acquire(server, "A|1", lease=500)
    server.clock.now += 500

    assert record(server, "success", "A|1")[0] == "stale"
    assert acquire(server, "B|1")[0] == "permit"


def test_a_probe_without_a_permit_leaves_no_key_without_an_expiry(server: LuaServer) -> None:
    opened(server)
    server.client.delete(KEYS.events, KEYS.meta)

    assert record(server, "success", "untracked")[0] == "counted"

    assert server.kinds() == ["breaker_half_opened"]
    expiries = server.expiries()
    # The callers were recorded a second ago, and a probe does not renew them.
    assert expiries.pop(KEYS.callers("openai")) - server.clock.now >= RETENTION - 1_000
    for expiry in expiries.values():
        assert expiry - server.clock.now > RETENTION - 1_000


def test_a_breaker_outlives_its_recovery_timeout_by_the_retention(server: LuaServer) -> None:
    opened(server)
    retry_at = START + 1_000

    assert abs(server.expiries()[KEYS.breaker("openai")] - (retry_at + RETENTION)) < 1_100

    override(server, "open", 90_000)
    expiry = server.expiries()[KEYS.breaker("openai")]
    assert abs(expiry - (server.clock.now + 90_000 + RETENTION)) < 1_100


def test_only_a_breaker_under_an_override_without_an_end_never_expires(server: LuaServer) -> None:
    configure(server)

    override(server, "open")
    assert server.expiries()[KEYS.breaker("openai")] == -1

    override(server, "")
    assert server.expiries()[KEYS.breaker("openai")] > 0
