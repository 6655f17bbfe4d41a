from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    LEASE,
    adopt,
    check,
    heartbeat,
    held_by,
    holders,
    leases,
    register,
    registered,
    sweep,
    unregister,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_a_holder_without_a_lease_gets_one(server: LuaServer) -> None:
    assert adopt(server, "A", "llm|openai", "memory|store") == ["adopted"]

    assert leases(server) == {"A": START + LEASE}
    assert held_by(server, "A") == {"llm": ["openai"], "memory": ["store"]}
    assert KEYS.process("A") not in server.dump()


def test_an_adopted_lease_expires_as_all_data_does(server: LuaServer) -> None:
    adopt(server, "A", "llm|openai")

    for key, expiry in server.expiries().items():
        assert expiry - START > LEASE, key


def test_a_lease_that_exists_is_not_made_longer(server: LuaServer) -> None:
    register(server)
    server.clock.now += 1_000

    adopt(server, "A", "llm|openai")

    assert leases(server) == {"A": START + LEASE}


@pytest.mark.parametrize("lost", ["all", "one"])
def test_a_registration_whose_holder_lost_its_lease_expires_after_one_lease(
    server: LuaServer, lost: str
) -> None:
    register(server, "dead", "A")
    register(server, "openai", "B")
    if lost == "all":
        server.client.delete(KEYS.leases)
    else:
        server.client.zrem(KEYS.leases, "A")
    heartbeat(server, "B", 1)
    assert check(server, ["dead", "openai"])[2:] == ["A", "dead"]
    adopt(server, "A", "llm|dead")

    server.clock.now += LEASE - 1
    heartbeat(server, "B", 1)
    assert sweep(server) == ["expired"]
    server.clock.now += 1

    assert sweep(server) == ["expired", "expired", "ended"]
    assert registered(server) == ["openai"]
    assert server.kinds()[-1] == "provider_expired"


def test_an_adopted_holder_that_is_alive_keeps_its_registration(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.leases, KEYS.lease("A"))
    adopt(server, "A", "llm|openai")
    server.clock.now += LEASE - 1

    assert heartbeat(server, held=1)[0] == "renewed"
    server.clock.now += LEASE - 1
    assert sweep(server) == ["expired"]

    assert (registered(server), holders(server)) == (["openai"], {"A"})


def test_an_adopted_holder_that_has_lost_more_must_rejoin(server: LuaServer) -> None:
    register(server, "openai")
    register(server, "claude")
    server.client.delete(KEYS.leases, KEYS.lease("A"))
    adopt(server, "A", "llm|openai")

    assert heartbeat(server, held=2)[0] == "rejoin"


def test_a_holder_that_left_before_it_was_adopted_leaves_nothing(server: LuaServer) -> None:
    register(server)
    register(server, process="C")
    unregister(server)
    adopt(server, "A", "llm|openai")
    server.clock.now += LEASE
    heartbeat(server, "C", 1)

    assert sweep(server) == ["expired", "expired", "ended"]

    assert (registered(server), holders(server)) == (["openai"], {"C"})
    assert KEYS.lease("A") not in server.dump()


@pytest.mark.parametrize("key", [KEYS.leases, KEYS.lease("A")])
def test_keys_of_another_type_are_replaced(server: LuaServer, key: str) -> None:
    server.client.set(key, "not ours", ex=60)

    adopt(server, "A", "llm|openai")

    assert (leases(server), held_by(server, "A")) == ({"A": START + LEASE}, {"llm": ["openai"]})
