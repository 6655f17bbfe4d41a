"""Half-way to the threshold, an event warns followers, which then report their batches at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.store.records.decoding import paired
from tests.lua.breaker_calls import configure, record, state
from tests.lua.lua_server import KEYS

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_the_warning_comes_at_half_of_the_threshold(server: LuaServer) -> None:
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
    shown = server.entries()[0]["breaker"]
    assert dict(paired(json.loads(shown))) == state(reply)


def test_the_warning_changes_no_version(server: LuaServer) -> None:
    configure(server)
    before = server.dump()[KEYS.meta][0]

    record(server)

    assert server.kinds() == ["breaker_streak_warning"]
    assert server.dump()[KEYS.meta][0] == before
    assert "revision" not in server.entries()[0]


def test_there_is_one_warning_a_second_at_most(server: LuaServer) -> None:
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


def test_a_warning_time_in_the_future_does_not_suppress_the_warning(server: LuaServer) -> None:
    configure(server)
    server.client.hset(KEYS.breaker("openai"), "warned_at", str(server.clock.now + 3_600_000))

    record(server)

    assert server.kinds() == ["breaker_streak_warning"]
