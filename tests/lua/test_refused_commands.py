"""A command that the server refuses inside a script leaves sound data as it was."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.lua.breaker_calls import configure, record, trip_local
from tests.lua.lua_server import KEYS, Clock, LuaServer, RealServer
from tests.lua.registering import RETENTION
from tests.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FULL_MEMORY = ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")


def without(command: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    user = ("ACL", "SETUSER", "default")
    return (*user, f"-{command}"), (*user, "+@all")


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    """A server of this file's own, which is made to refuse."""
    with Server() as one:
        yield one


@pytest.fixture
def lua(process: Server, clock: Clock, tmp_path: Path) -> LuaServer:
    server = RealServer(clock, process.url, tmp_path)
    server.begin()
    return server


def take(lua: LuaServer) -> list[Any]:
    return lua.call("cursor_take", cursor="chat|0|NORMAL", steps=2, retention_ms=RETENTION)


@pytest.mark.parametrize(
    "refusal",
    [FULL_MEMORY, *map(without, ("hget", "hincrby", "hlen", "hset", "hsetnx", "xadd", "zadd"))],
    ids=lambda one: " ".join(one[0]),
)
def test_a_refused_command_replaces_no_sound_data(
    process: Server, lua: LuaServer, refusal: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    """Scripts took the refusal for a damaged key: a full memory deleted positions and revisions."""
    refuse, allow = refusal
    configure(lua)
    record(lua)
    for _ in range(5):
        take(lua)
        trip_local(lua, 5_000)
    before = {key: content for key, (content, _) in lua.dump().items()}

    lua.clock.now += 1_000  # a new epoch would differ
    lua.set_clock()
    process.ask(*refuse)
    calls: tuple[Callable[..., object], ...] = (take, record, configure, trip_local)
    for call in calls:
        with contextlib.suppress(redis.RedisError, AssertionError):
            refused_call(lua, call)
    process.ask(*allow)

    after = {key: content for key, (content, _) in lua.dump().items()}
    for key in (KEYS.meta, KEYS.cursors):
        assert at_least(after.get(key, {}), before[key]), key
    assert after[KEYS.meta]["epoch"] == before[KEYS.meta]["epoch"]
    assert len(after[KEYS.events]) >= min(len(before[KEYS.events]), 4)
    assert before[KEYS.callers("openai")].keys() <= after[KEYS.callers("openai")].keys()


def refused_call(lua: LuaServer, call: Callable[..., object]) -> None:
    """Call a script without looking at what it wrote, which needs rights too."""
    lua.dump = dict  # type: ignore[method-assign]
    try:
        call(lua, 5_000) if call is trip_local else call(lua)
    finally:
        del lua.dump


def at_least(now: dict[str, str], then: dict[str, str]) -> bool:
    """Whether a hash has every number that it had, or a higher one."""
    return all(float(now.get(field, -1)) >= float(value) for field, value in then.items())
