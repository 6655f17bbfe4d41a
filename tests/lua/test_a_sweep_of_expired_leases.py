"""Removing a dead process takes several scripts, and anything may happen between two of them.

The sweeper may be killed, and the process that seemed to be dead may renew its lease.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.lua.lua_server import KEYS
from tests.lua.registering import (
    LEASE,
    MEMORY,
    SWEEP,
    Wanted,
    heartbeat,
    held_by,
    holders,
    leases,
    register,
    register_all,
    registered,
    steps_of_a_sweep,
    sweep,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

STEPS = 4
"""leases_expire, registration_expire of each of two service types, lease_end."""

HELD = {"llm": ["claude", "openai"], "memory": ["store"]}


def fill(server: LuaServer) -> None:
    """Process A holds three registrations, one of them with C; then the lease of A is over."""
    register_all(server, map(Wanted, HELD["llm"]))
    register(server, "store", service_type="memory")
    server.clock.now += 1
    register(server, "claude", "C")
    server.clock.now += LEASE - 1


def rejoin(server: LuaServer) -> None:
    """Process A registers again if its heartbeat says so, as the registry does."""
    if heartbeat(server, held=3)[0] == "rejoin":
        register_all(server, map(Wanted, HELD["llm"]), mode="rejoin")
        register(server, "store", mode="rejoin", service_type="memory")


def test_nothing_stays_of_a_dead_process(server: LuaServer) -> None:
    fill(server)

    assert sweep(server) == ["expired", "expired", "expired", "ended"]

    found = server.dump()
    assert KEYS.lease("A") not in found
    assert KEYS.process("A") not in found
    assert MEMORY.registrations not in found
    assert set(leases(server)) == {"C"}
    assert (registered(server), holders(server, "claude")) == (["claude"], {"C"})
    assert server.comings_and_goings()[-1] == ("process_expired", "A")


@pytest.mark.parametrize("done", range(STEPS + 1))
def test_what_a_killed_sweeper_has_left_is_removed_by_another_one(
    server: LuaServer, done: int
) -> None:
    fill(server)
    list(islice(steps_of_a_sweep(server, "B"), done))
    server.clock.now += SWEEP - 2  # before the lease of C is over
    heartbeat(server, "C", 1)
    server.clock.now += 2

    sweep(server, "D")

    found = server.dump()
    assert KEYS.lease("A") not in found
    assert MEMORY.registrations not in found
    assert (set(leases(server)), registered(server)) == ({"C"}, ["claude"])
    assert server.kinds() == ["provider_registered"] * 2 + ["provider_expired"]
    assert found[MEMORY.meta][0]["revision"] == "2"
    assert server.comings_and_goings().count(("process_expired", "A")) == 1


@pytest.mark.parametrize("done", range(STEPS + 1))
def test_a_process_that_renews_its_lease_during_a_sweep_keeps_all_or_rejoins(
    server: LuaServer, done: int
) -> None:
    fill(server)
    steps = steps_of_a_sweep(server)
    list(islice(steps, done))

    heartbeat(server, held=3)
    list(steps)
    rejoin(server)

    assert heartbeat(server, held=3)[0] == "renewed"
    assert held_by(server, "A") == HELD
    assert holders(server, "openai") == {"A"}
    assert holders(server, "claude") == {"A", "C"}
    assert set(registered(server)) == {"claude", "openai"}
    found = server.dump()
    assert found[MEMORY.holders("store")][0] == {"A"}
    assert set(found[MEMORY.registrations][0]) == {"store"}
    assert set(leases(server)) == {"A", "C"}


@pytest.mark.parametrize("done", range(STEPS + 1))
def test_a_process_that_registers_during_a_sweep_keeps_what_it_has_registered(
    server: LuaServer, done: int
) -> None:
    fill(server)
    steps = steps_of_a_sweep(server)
    list(islice(steps, done))

    register(server, "gemini")
    list(steps)
    rejoin(server)

    assert {"claude", "openai", "gemini"} <= set(registered(server))
    assert {"claude", "openai", "gemini"} <= set(held_by(server, "A")["llm"])


def test_a_second_sweep_finds_nothing(server: LuaServer) -> None:
    fill(server)
    sweep(server)

    assert sweep(server) == ["expired"]
