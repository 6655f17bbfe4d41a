from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.lua.lua_server import KEYS
from tests.lua.registering import (
    LEASE,
    Wanted,
    end,
    expire,
    heartbeat,
    held_by,
    holders,
    leases,
    register,
    register_all,
    registered,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_a_registration_goes_with_the_lease_of_its_last_holder(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE

    assert expire(server) == ["expired", "openai"]

    found = server.dump()
    for key in (
        KEYS.registrations,
        KEYS.registration("openai"),
        KEYS.holders("openai"),
        KEYS.lease("A"),
    ):
        assert key not in found
    assert found[KEYS.meta][0]["revision"] == "2"
    assert server.entries()[-1]["revision"] == "2"
    assert server.events()[1:] == [
        {
            "kind": "provider_expired",
            "provider": "openai",
            "actor": "B",
            "reason": "the lease of its last holder expired",
            "id": "openai",
            "process": "A",
        }
    ]


def test_the_lease_itself_stays_until_all_that_hung_on_it_is_gone(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE

    expire(server)

    assert set(leases(server)) == {"A"}


def test_a_process_that_has_renewed_its_lease_loses_nothing(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE
    heartbeat(server, held=1)

    assert expire(server, writes=False) == ["alive"]


def test_a_registration_with_a_living_holder_stays(server: LuaServer) -> None:
    register(server, process="A")
    server.clock.now += 1
    register(server, process="C")
    server.clock.now += LEASE - 1

    assert expire(server) == ["expired"]

    found = server.dump()
    assert holders(server) == {"C"}
    assert (held_by(server, "A"), held_by(server, "C")) == ({}, {"llm": ["openai"]})
    assert found[KEYS.registrations][0] == {"openai": 1}
    assert found[KEYS.meta][0]["revision"] == "1"
    assert server.kinds() == ["provider_registered"]


def test_a_registration_of_several_dead_holders_goes_with_the_last_of_them(
    server: LuaServer,
) -> None:
    for process in "ACD":
        register(server, "openai@*", process)
    server.clock.now += LEASE

    replies = [expire(server, "openai@*", process=process) for process in "ACD"]

    assert replies == [["expired"], ["expired"], ["expired", "openai@*"]]
    assert server.kinds() == ["provider_registered", "provider_expired"]
    assert server.events()[-1]["provider"] == "openai"


def test_several_registrations_are_removed_in_one_call(server: LuaServer) -> None:
    register_all(server, map(Wanted, ("openai", "claude@chat", "gemini")))
    register(server, "claude@chat", "C")
    server.clock.now += LEASE

    reply = expire(server, "openai", "claude@chat", "gemini")

    assert reply == ["expired", "openai", "gemini"]
    assert registered(server) == ["claude@chat"]
    assert server.kinds()[-2:] == ["provider_expired"] * 2


def test_a_registration_that_the_caller_did_not_name_stays_until_it_is_named(
    server: LuaServer,
) -> None:
    register(server, "openai")
    register(server, "claude@chat")
    register(server, "store", service_type="memory")
    server.clock.now += LEASE

    assert expire(server, "openai") == ["expired", "openai"]
    assert registered(server) == ["claude@chat"]
    assert held_by(server, "A") == {"llm": ["claude@chat"], "memory": ["store"]}

    assert expire(server, "claude@chat") == ["expired", "claude@chat"]
    assert expire(server, "store", service_type="memory") == ["expired", "store"]
    assert held_by(server, "A") == {}


def test_a_repetition_makes_no_second_event(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE
    expire(server)

    assert expire(server, sweeper="C", writes=False) == ["expired"]


def test_a_hold_that_another_process_has_taken_over_stays(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE
    expire(server)
    register(server, process="C")

    assert expire(server, writes=False) == ["expired"]

    assert holders(server) == {"C"}


UNREADABLE: Final = (KEYS.holders("openai"), "another type")


@pytest.mark.parametrize(
    ("key", "damage"),
    [
        (key, damage)
        for key in (
            KEYS.holders("openai"),
            KEYS.registration("openai"),
            KEYS.lease("A"),
            KEYS.meta,
        )
        for damage in ("deleted", "another type")
        if (key, damage) != UNREADABLE
    ],
)
def test_a_registration_of_which_a_key_was_lost_expires_all_the_same(
    server: LuaServer, key: str, damage: str
) -> None:
    register(server)
    server.client.delete(key)
    if damage == "another type":
        server.client.set(key, "not ours", ex=60)
    server.clock.now += LEASE

    assert expire(server) == ["expired", "openai"]

    assert registered(server) == []
    assert server.kinds()[-1] == "provider_expired"


def test_a_registration_stays_while_its_holders_cannot_be_read(server: LuaServer) -> None:
    """The expiry of one holder removed a registration that another process held."""
    register(server)
    register(server, process="C")
    server.client.delete(KEYS.holders("openai"))
    server.client.set(KEYS.holders("openai"), "not ours", ex=60)
    server.clock.now += LEASE

    assert expire(server) == ["expired"]

    assert registered(server) == ["openai"]
    assert held_by(server, "A") == {}
    assert end(server) == ["ended"]
