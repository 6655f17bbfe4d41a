from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lua.lua_server import KEYS, START, fields

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_a_breaker_is_shown_with_its_permits(server: LuaServer) -> None:
    server.client.hset(KEYS.breaker("openai"), mapping={"state": "half_open", "bucket_0": "1:2:1"})
    server.client.zadd(KEYS.permits("openai"), {"A|1": START + 7, "B|1": START + 9})

    server.client.zadd(KEYS.callers("openai"), {"called|A": START - 5})

    word, now, breaker, permits, seen = server.call("breaker_read", "openai", writes=False)

    assert (word, now) == ("read", str(START))
    assert fields(breaker) == {"state": "half_open", "bucket_0": "1:2:1"}
    assert fields(permits) == {"A|1": str(START + 7), "B|1": str(START + 9)}
    assert fields(seen) == {"called|A": str(START - 5)}


def test_reporters_that_cannot_be_read_are_none(server: LuaServer) -> None:
    server.client.set(KEYS.callers("openai"), "somebody's text")

    assert server.call("breaker_read", "openai", writes=False)[4] == []


def test_a_breaker_that_nobody_knows_is_empty(server: LuaServer) -> None:
    assert server.call("breaker_read", "openai", writes=False) == ["read", str(START), [], [], []]
