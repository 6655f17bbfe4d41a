from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lua.lua_server import KEYS, START, fields

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_a_breaker_is_read_with_its_permits_and_callers(server: LuaServer) -> None:
    server.client.hset(
        KEYS.breaker("openai"), mapping={"state": "half_open", "window": "9:2:1 0:0"}
    )
    server.client.zadd(KEYS.permits("openai"), {"A|1": START + 7, "B|1": START + 9})

    server.client.zadd(KEYS.callers("openai"), {"called|A": START - 5})

    word, now, breaker, permits, callers = server.call("breaker_read", "openai", writes=False)

    assert (word, now) == ("read", str(START))
    assert fields(breaker) == {"state": "half_open", "window": "9:2:1 0:0"}
    assert fields(permits) == {"A|1": str(START + 7), "B|1": str(START + 9)}
    assert fields(callers) == {"called|A": str(START - 5)}


def test_callers_that_cannot_be_read_are_empty(server: LuaServer) -> None:
    server.client.set(KEYS.callers("openai"), "not callers")

    assert server.call("breaker_read", "openai", writes=False)[4] == []


def test_a_breaker_that_does_not_exist_is_empty(server: LuaServer) -> None:
    assert server.call("breaker_read", "openai", writes=False) == ["read", str(START), [], [], []]
