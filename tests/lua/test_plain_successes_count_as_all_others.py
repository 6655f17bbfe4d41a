"""The short way of most successes writes and replies what the long way does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.store.scripts import read_scripts
from tests.lua.breaker_calls import (
    configure,
    cool_down,
    override,
    record,
    record_successes,
    reset,
)
from tests.lua.lua_server import KEYS, LuaServer, copied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lua.lua_server import Clock

STEPS: Final = 150
SHORT: Final = "  if found.err or not is_plain(found, now, generation) then\n"
OVERRIDES: Final = ("open", "closed", "")
CONFIG: Final = CircuitBreakerConfig(
    failure_threshold=4, recovery_timeout=0.5, minimum_calls=8, window=2.0
)


@pytest.fixture
def both(clock: Clock, tmp_path: Path) -> tuple[LuaServer, LuaServer]:
    """A server with the scripts, and one whose scripts take the long way for each success."""
    always = [("lib/plain_success.lua", SHORT, "  if true then\n")]
    return LuaServer(clock), LuaServer(clock, read_scripts(copied(tmp_path, always)))


def step(chance: random.Random) -> Callable[[LuaServer], Any]:
    """One of the things that happen to a breaker; most are batches of successes."""
    process = chance.choice("ABC")
    number, age, generation = chance.randint(1, 9), chance.randint(0, 50), chance.randint(0, 3)
    of = "" if chance.random() < 0.7 else generation
    batch = ("openai", number, age, of)
    kinds: dict[Callable[[LuaServer], Any], int] = {
        lambda server: record_successes(server, batch, process=process): 30,
        lambda server: record(server, "failure", process=process): 4,
        lambda server: record(server, "success", process=process): 2,
        lambda server: override(server, OVERRIDES[number % 3], 40 * number): 1,
        lambda server: cool_down(server, 30 * number): 1,
        reset: 1,
        lambda server: configure(server, explicit=True): 1,
        lambda server: server.client.hset(KEYS.breaker("openai"), "window", "damaged"): 1,
        lambda server: server.client.zadd(KEYS.callers("openai"), {f"called|{process}": 1}): 1,
        lambda server: server.client.hdel(KEYS.breaker("openai"), "total_successes"): 1,
    }
    return chance.choices([*kinds], [*kinds.values()])[0]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(one, marks=pytest.mark.long_run) for one in range(1, 8))]
)
def test_the_short_way_is_the_long_way(
    both: tuple[LuaServer, LuaServer], clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)
    for server in both:
        configure(server, CONFIG, explicit=True)

    for number in range(STEPS):
        clock.now += chance.choice((0, 1, 5, 60, 150, 700))
        act = step(chance)
        replies = [act(server) for server in both]

        assert replies[0] == replies[1], number
        assert both[0].dump() == both[1].dump(), number


def test_most_successes_take_the_short_way(clock: Clock, tmp_path: Path) -> None:
    """Else the comparison above would compare nothing."""
    no_other = [("breaker_record_successes.lua", "local opened = {}\n", 'error("the long way")\n')]
    server = LuaServer(clock, read_scripts(copied(tmp_path, no_other)))
    configure(server)
    record(server, "success")  # its process has called, and the window has begun

    for _ in range(3):
        clock.now += 10
        assert record_successes(server, ("openai", 2, 0, 0)) == ["counted"]
