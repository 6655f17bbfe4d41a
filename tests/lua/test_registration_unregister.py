from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    LEASE,
    Wanted,
    check,
    heartbeat,
    held_by,
    holders,
    leases,
    register,
    register_all,
    registered,
    unregister,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_the_registration_goes_with_its_last_holder(server: LuaServer) -> None:
    register(server)

    assert unregister(server) == ["unregistered", "removed"]

    found = server.dump()
    for key in (KEYS.registrations, KEYS.registration("openai"), KEYS.holders("openai")):
        assert key not in found
    assert held_by(server, "A") == {}
    assert leases(server) == {"A": START + LEASE}
    assert found[KEYS.meta][0]["revision"] == "2"
    assert server.events()[-1] == {
        "kind": "provider_unregistered",
        "provider": "openai",
        "actor": "A",
        "reason": "",
        "id": "openai",
    }
    assert server.entries()[-1]["revision"] == "2"


def test_a_registration_with_other_holders_stays(server: LuaServer) -> None:
    register(server, "openai@chat", "A")
    register(server, "openai@chat", "B")

    assert unregister(server, "openai@chat") == ["unregistered", "left"]

    found = server.dump()
    assert found[KEYS.registrations][0] == {"openai@chat": 1}
    assert holders(server, "openai@chat") == {"B"}
    assert (held_by(server, "A"), held_by(server, "B")) == ({}, {"llm": ["openai@chat"]})
    assert found[KEYS.meta][0]["revision"] == "1"
    assert server.kinds() == ["provider_registered"]


def test_a_late_repetition_does_not_end_the_hold_of_another_process(server: LuaServer) -> None:
    register(server, process="A")
    unregister(server, process="A")
    register(server, process="B")

    assert unregister(server, process="A", writes=False) == ["unregistered", "absent"]

    assert holders(server) == {"B"}


def test_a_process_that_is_not_a_holder_changes_nothing(server: LuaServer) -> None:
    assert unregister(server, writes=False) == ["unregistered", "absent"]
    register(server, process="B")

    assert unregister(server, writes=False) == ["unregistered", "absent"]


def test_a_registration_whose_name_begins_with_another_name_stays(server: LuaServer) -> None:
    register(server, "openai", "A")
    register(server, "openai@chat", "B")
    register(server, "openai-2", "B")

    assert unregister(server, "openai", process="A") == ["unregistered", "removed"]

    assert set(registered(server)) == {"openai@chat", "openai-2"}


def test_a_registration_of_another_service_type_stays(server: LuaServer) -> None:
    register(server)
    register(server, service_type="memory")

    unregister(server)

    assert held_by(server, "A") == {"memory": ["openai"]}


def test_several_registrations_end_in_one_call(server: LuaServer) -> None:
    register_all(server, map(Wanted, ("openai", "claude@chat", "gemini")))
    register(server, "openai", "B")

    reply = unregister(server, "openai", "claude@chat", "unknown")

    assert reply == ["unregistered", "left", "removed", "absent"]
    assert held_by(server, "A") == {"llm": ["gemini"]}
    assert set(registered(server)) == {"openai", "gemini"}
    event = server.events()[-1]
    assert (event["kind"], event["id"], event["provider"]) == (
        "provider_unregistered",
        "claude@chat",
        "claude",
    )


@pytest.mark.parametrize("damage", ["deleted", "another type"])
@pytest.mark.parametrize("key", [KEYS.holders("openai"), KEYS.lease("A"), KEYS.leases])
def test_the_last_holder_to_leave_is_recognised_after_a_key_was_lost(
    server: LuaServer, key: str, damage: str
) -> None:
    register(server)
    server.client.delete(key)
    if damage == "another type":
        server.client.set(key, "not ours", ex=60)
    heartbeat(server, held=1)
    register(server, mode="rejoin")

    assert unregister(server) == ["unregistered", "removed"]

    assert (registered(server), holders(server), held_by(server, "A")) == ([], set(), {})


def test_a_lease_of_another_type_does_not_keep_a_registration(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.lease("A"))
    server.client.set(KEYS.lease("A"), "not ours", ex=60)

    assert unregister(server) == ["unregistered", "removed"]

    assert registered(server) == []


def test_a_registration_stays_while_its_holders_cannot_be_read(server: LuaServer) -> None:
    """A leave removed a registration that another process held."""
    register(server, process="A")
    register(server, process="B")
    server.client.delete(KEYS.holders("openai"))
    server.client.set(KEYS.holders("openai"), "not ours", ex=60)

    assert unregister(server, process="A") == ["unregistered", "damaged"]

    assert registered(server) == ["openai"]
    assert (held_by(server, "A"), held_by(server, "B")) == ({}, {"llm": ["openai"]})
    assert check(server)[:3] == ["checked", "1", "openai"]
    assert register(server, process="B", mode="rejoin").code == "registered"
    assert unregister(server, process="B") == ["unregistered", "removed"]
