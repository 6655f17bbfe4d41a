"""The short way of most heartbeats replies and renews what the long way does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry.store.scripts import read_scripts
from tests.lua.lua_server import KEYS, LuaServer, copied
from tests.lua.registering import INTERVAL, LEASE, heartbeat, leave, register, unregister

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lua.lua_server import Clock

STEPS: Final = 120
SHORT: Final = "local renewed = plain_beat.renew(KEYS, ARGV, now)\n"


@pytest.fixture
def both(clock: Clock, tmp_path: Path) -> tuple[LuaServer, LuaServer]:
    """A server with the scripts, and one whose scripts take the long way for each heartbeat."""
    always = [("process_heartbeat.lua", SHORT, "local renewed = false\n")]
    return LuaServer(clock), LuaServer(clock, read_scripts(copied(tmp_path, always)))


def step(chance: random.Random) -> Callable[[LuaServer], Any]:
    """One of the things that happen to a partition; most are heartbeats."""
    process, other = chance.choice("ABC"), chance.choice("ABC")
    held, outage = chance.choice((0, 1, 1, 2)), chance.random() < 0.1
    losses = chance.choice(("", "0", "1"))
    kinds: dict[Callable[[LuaServer], Any], int] = {
        lambda server: heartbeat(server, process, held, outage=outage, losses=losses): 20,
        lambda server: register(server, "openai", process=process): 3,
        lambda server: unregister(server, "openai", process=process): 1,
        lambda server: leave(server, process): 1,
        lambda server: server.client.hset(KEYS.expiry, "losses", 1): 1,
        lambda server: server.client.set(KEYS.process(other), "damaged"): 1,
        lambda server: server.client.delete(KEYS.meta): 1,
        lambda server: server.client.delete(KEYS.types): 1,
    }
    return chance.choices([*kinds], [*kinds.values()])[0]


def contents(server: LuaServer) -> dict[str, Any]:
    """All data except expiries, which the long way alone renews for the fleet."""
    return {key: content for key, (content, _) in server.dump().items() if key != KEYS.types}


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(one, marks=pytest.mark.long_run) for one in range(1, 8))]
)
def test_the_short_way_is_the_long_way(
    both: tuple[LuaServer, LuaServer], clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)
    for number in range(STEPS):
        clock.now += chance.choice((0, 1, 200, INTERVAL // 2, INTERVAL, LEASE))
        act = step(chance)
        replies = [act(server) for server in both]

        assert replies[0] == replies[1], number
        assert contents(both[0]) == contents(both[1]), number


def test_the_lease_and_all_that_hangs_on_it_are_kept(clock: Clock, tmp_path: Path) -> None:
    """By a beat that cannot take the long way."""
    no_other = [("process_heartbeat.lua", 'processes.repair(KEYS[1], "zset")\n', 'error("long")\n')]
    server = LuaServer(clock)
    register(server, "openai")
    heartbeat(server, held=1)
    server.scripts = read_scripts(copied(tmp_path, no_other))
    expiries = server.expiries()
    clock.now += INTERVAL - 1

    assert heartbeat(server, held=1, losses="0")[0] == "renewed"

    assert server.dump()[KEYS.leases][0] == {"A": clock.now + LEASE}
    assert server.expiries()[KEYS.process("A")] == expiries[KEYS.process("A")] + INTERVAL - 1
