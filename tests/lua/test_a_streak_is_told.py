"""Half-way to the threshold, followers are told: they report what they have gathered at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.store.decoding import paired
from tests.lua.breaker_calls import configure, record, state
from tests.lua.lua_server import KEYS

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_a_streak_is_told_from_half_of_the_threshold_on(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=5))

    record(server)
    record(server)
    assert server.kinds() == []

    reply = record(server, process="B")
    assert server.events() == [
        {
            "kind": "breaker_streak_warning",
            "provider": "openai",
            "actor": "B",
            "reason": "3 failures in a row",
        }
    ]
    told = server.entries()[0]["breaker"]
    assert dict(paired(json.loads(told))) == state(reply)


def test_a_streak_that_is_told_changes_no_version(server: LuaServer) -> None:
    configure(server)
    before = server.dump()[KEYS.meta][0]

    record(server)

    assert server.kinds() == ["breaker_streak_warning"]
    assert server.dump()[KEYS.meta][0] == before
    assert "revision" not in server.entries()[0]


def test_a_streak_is_told_once_a_second_at_most(server: LuaServer) -> None:
    configure(server, CircuitBreakerConfig(failure_threshold=9))
    for _ in range(5):
        record(server)
    server.clock.now += 999
    record(server)
    assert len(server.kinds()) == 1

    server.clock.now += 1
    record(server)
    assert [event["reason"] for event in server.events()] == [
        "5 failures in a row",
        "7 failures in a row",
    ]


def test_a_streak_is_told_though_it_was_told_in_the_future(server: LuaServer) -> None:
    configure(server)
    server.client.hset(KEYS.breaker("openai"), "warned_at", str(server.clock.now + 3_600_000))

    record(server)

    assert server.kinds() == ["breaker_streak_warning"]
