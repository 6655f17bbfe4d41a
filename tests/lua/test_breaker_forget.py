"""A breaker that is forgotten on purpose goes with all that hangs on it, and does not come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_calls import acquire, configure, opened, record, restore, trip_local
from tests.lua.lua_server import KEYS
from tests.lua.registering import LEASE, check, register, unregister

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

OF_THE_BREAKER: Final = {
    KEYS.breaker("openai"),
    KEYS.permits("openai"),
    KEYS.callers("openai"),
    KEYS.local_trips("openai"),
    KEYS.slots("openai"),
}
CONFIG: Final = CircuitBreakerConfig()
MARK: Final = "forgotten:openai"


def forget(server: LuaServer, *, writes: bool = True) -> list[Any]:
    return server.call(
        "breaker_forget", "openai", provider="openai", process="A", keep_ms=60_000, writes=writes
    )


def opened_and_forgotten(server: LuaServer) -> dict[str, str | int]:
    """Open a breaker and forget it; what a process remembers of it."""
    opened(server)
    remembered = dict(server.dump()[KEYS.breaker("openai")][0])
    assert forget(server) == ["forgotten", str(server.clock.now)]
    names = ("state", "generation", "changed_at", "born", "retry_at", "opened_at")
    return {name: remembered[name] for name in names}


def test_a_forgotten_breaker_goes_with_all_that_hangs_on_it(server: LuaServer) -> None:
    configure(server)
    trip_local(server, 5_000)
    opened(server)
    acquire(server, "A|1")
    server.client.zadd(KEYS.slots("openai"), {"A|1": server.clock.now + 1_000})
    assert server.dump().keys() >= OF_THE_BREAKER

    assert forget(server) == ["forgotten", str(server.clock.now)]

    assert not server.dump().keys() & OF_THE_BREAKER
    assert server.dump()[KEYS.meta][0][MARK] == str(server.clock.now)
    assert server.events()[-1] == {
        "kind": "breaker_forgotten",
        "provider": "openai",
        "actor": "A",
        "reason": "unregistered with its breaker",
    }


@pytest.mark.parametrize("registration", ["openai", "openai@chat", "openai@*"])
def test_it_stays_while_its_name_has_a_registration(server: LuaServer, registration: str) -> None:
    opened(server)
    register(server, registration)
    register(server, "openai-2")

    assert forget(server, writes=False)[0] == "kept"

    unregister(server, registration)
    assert forget(server)[0] == "forgotten"


def test_no_process_puts_it_back(server: LuaServer) -> None:
    remembered = opened_and_forgotten(server)

    assert restore(server, remembered, writes=False)[0] == "forgotten"
    assert restore(server, remembered, config=CONFIG, writes=False)[0] == "forgotten"


def test_registering_again_begins_with_a_closed_breaker(server: LuaServer) -> None:
    remembered = opened_and_forgotten(server)
    server.clock.now += 1

    register(server)

    assert restore(server, remembered, writes=False)[0] == "forgotten"
    assert acquire(server, "B|1", writes=False)[0] == "admitted"


def test_what_changed_after_the_mark_is_put_back(server: LuaServer) -> None:
    opened_and_forgotten(server)
    server.clock.now += 1
    configure(server)
    record(server)
    assert record(server)[0] == "opened"
    remembered = server.dump()[KEYS.breaker("openai")][0]
    server.client.delete(KEYS.breaker("openai"))

    names = ("state", "generation", "changed_at", "born", "retry_at")
    newer = {name: remembered[name] for name in names}
    assert restore(server, newer, config=CONFIG)[0] == "restored"


def test_a_check_removes_the_mark_after_two_leases(server: LuaServer) -> None:
    opened_and_forgotten(server)
    register(server, "other")
    server.clock.now += 2 * LEASE - 1
    check(server, ["other"])
    assert MARK in server.dump()[KEYS.meta][0]

    server.clock.now += 1
    check(server, ["other"])

    meta = server.dump()[KEYS.meta][0]
    assert MARK not in meta
    assert meta["registered"] == "1"


def test_a_mark_from_a_clock_that_was_ahead_does_not_count(server: LuaServer) -> None:
    remembered = opened_and_forgotten(server)
    register(server, "other")
    server.clock.now -= 3_600_000

    assert restore(server, remembered, config=CONFIG)[0] == "restored"

    check(server, ["other"])
    assert MARK not in server.dump()[KEYS.meta][0]
