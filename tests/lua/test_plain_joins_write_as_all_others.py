"""The short way of most registrations writes and replies what the long way does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry.store.scripts import read_scripts
from tests.lua.breaker_calls import override
from tests.lua.lua_server import KEYS, LuaServer, copied
from tests.lua.registering import heartbeat, leave, register, unregister

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lua.lua_server import Clock

STEPS: Final = 120
SHORT: Final = "local reply = plain_join.register(KEYS, ARGV, now, processes)\n"


@pytest.fixture
def both(clock: Clock, tmp_path: Path) -> tuple[LuaServer, LuaServer]:
    """A server with the scripts, and one whose scripts take the long way for each call."""
    always = [("registration_register.lua", SHORT, "local reply = nil\n")]
    return LuaServer(clock), LuaServer(clock, read_scripts(copied(tmp_path, always)))


def step(chance: random.Random) -> Callable[[LuaServer], Any]:
    """One of the things that happen to registrations; most are joins."""
    process, name = chance.choice("ABC"), chance.choice(("openai", "claude@chat"))
    priority = chance.choices(("NORMAL", "HIGH"), (9, 1))[0]
    mode, chosen = chance.choice(("register", "register", "rejoin")), chance.random() < 0.5
    kinds: dict[Callable[[LuaServer], Any], int] = {
        lambda server: register(server, name, process, priority, mode, chosen=chosen): 20,
        lambda server: unregister(server, name, process=process): 2,
        lambda server: leave(server, process): 1,
        lambda server: heartbeat(server, process, 1): 2,
        lambda server: override(server, "open"): 1,
        lambda server: override(server, ""): 1,
        lambda server: server.client.set(KEYS.holders(name), "damaged"): 1,
        lambda server: server.client.set(KEYS.lease(process), "damaged"): 1,
        lambda server: server.client.hdel(KEYS.registration(name), "priority"): 1,
        lambda server: server.client.hset(KEYS.breaker("openai"), "window_ms", 5000): 1,
        lambda server: server.client.delete(KEYS.breaker("openai")): 1,
        lambda server: server.client.delete(KEYS.meta): 1,
    }
    return chance.choices([*kinds], [*kinds.values()])[0]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(one, marks=pytest.mark.long_run) for one in range(1, 8))]
)
def test_the_short_way_is_the_long_way(
    both: tuple[LuaServer, LuaServer], clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)
    for number in range(STEPS):
        clock.now += chance.choice((0, 1, 400, 12_000))
        act = step(chance)
        replies = [act(server) for server in both]

        assert replies[0] == replies[1], number
        assert both[0].dump() == both[1].dump(), number


def test_a_process_that_joins_takes_the_short_way(clock: Clock, tmp_path: Path) -> None:
    """Else the comparison above would compare nothing."""
    no_other = [("registration_register.lua", "changes.repair(KEYS[3])\n", 'error("long")\n')]
    server = LuaServer(clock)
    register(server)
    server.scripts = read_scripts(copied(tmp_path, no_other))

    assert register(server, process="B").code == "joined"
