from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import LEASE, RETENTION, register

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

DEADLINE = str(START + LEASE)


def test_the_first_process_writes_the_record_and_is_its_member(server: LuaServer) -> None:
    assert register(server) == ["registered", DEADLINE]

    found = server.dump()
    assert found[KEYS.registrations][0] == {"openai": 1}
    assert found[KEYS.registration("openai")][0] == {
        "name": "openai",
        "priority": "NORMAL",
        "metadata": "{}",
        "registered_by": "A",
        "registered_at": str(START),
    }
    assert found[KEYS.members][0] == {"openai|A": START + LEASE, "|A": START + LEASE}
    assert found[KEYS.meta][0] == {"epoch": str(START), "revision": "1", "registered": "1"}
    assert server.events() == [
        {
            "kind": "provider_registered",
            "provider": "openai",
            "actor": "A",
            "reason": "",
            "id": "openai",
        }
    ]


def test_everything_outlives_the_lease_by_the_retention(server: LuaServer) -> None:
    register(server)

    for expiry in server.expiries().values():
        assert abs(expiry - (START + LEASE + RETENTION)) < 1_000


def test_another_process_joins(server: LuaServer) -> None:
    register(server)
    server.clock.now += 10

    assert register(server, process="B") == ["joined", str(START + 10 + LEASE)]

    found = server.dump()
    assert set(found[KEYS.members][0]) == {"openai|A", "|A", "openai|B", "|B"}
    assert found[KEYS.registration("openai")][0]["registered_by"] == "A"
    assert found[KEYS.meta][0]["revision"] == "1"
    assert server.kinds() == ["provider_registered", "member_joined"]


def test_a_member_that_registers_again_makes_no_event(server: LuaServer) -> None:
    register(server)
    server.clock.now += 10

    assert register(server) == ["joined", str(START + 10 + LEASE)]

    assert server.dump()[KEYS.members][0]["openai|A"] == START + 10 + LEASE
    assert server.kinds() == ["provider_registered"]


def test_the_newest_settings_win_and_the_reply_has_the_old_ones(server: LuaServer) -> None:
    register(server)

    word, deadline, before, actor, *names = register(server, process="B", priority="HIGH")

    assert (word, deadline, actor, names) == ("changed", DEADLINE, "A", ["priority"])
    assert json.loads(before) == {"priority": "NORMAL"}
    found = server.dump()
    assert found[KEYS.registration("openai")][0]["priority"] == "HIGH"
    assert found[KEYS.registration("openai")][0]["registered_by"] == "B"
    assert found[KEYS.meta][0]["revision"] == "2"
    event = server.events()[1]
    assert json.loads(event.pop("before")) == {"priority": "NORMAL"}
    assert event == {
        "kind": "provider_changed",
        "provider": "openai",
        "actor": "B",
        "reason": "registered with other settings",
        "id": "openai",
        "fields": "priority",
        "before_actor": "A",
    }


def test_registrations_keep_the_order_in_which_they_were_made(server: LuaServer) -> None:
    for registration in ("zeta", "alpha@chat", "alpha@*"):
        register(server, registration)

    assert server.dump()[KEYS.registrations][0] == {"zeta": 1, "alpha@chat": 2, "alpha@*": 3}


def test_a_lost_record_is_written_again(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.registration("openai"))

    assert register(server, process="B")[0] == "registered"

    assert server.dump()[KEYS.registration("openai")][0]["registered_by"] == "B"


def test_a_record_of_another_type_is_replaced(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.registration("openai"))
    server.client.set(KEYS.registration("openai"), "not a record")

    assert register(server)[0] == "registered"

    assert server.client.type(KEYS.registration("openai")) == "hash"


def test_a_process_that_rejoins_does_not_overwrite_newer_settings(
    server: LuaServer,
) -> None:
    register(server, process="old", priority="LOW")
    register(server, process="new", priority="HIGH")
    server.client.zrem(KEYS.members, "openai|old")
    before = server.dump()

    assert register(server, process="old", priority="LOW", mode="rejoin")[0] == "joined"

    found = server.dump()
    assert found[KEYS.registration("openai")][0] == before[KEYS.registration("openai")][0]
    assert found[KEYS.meta][0] == before[KEYS.meta][0]
    assert "openai|old" in found[KEYS.members][0]
    assert server.kinds()[-1] == "member_joined"


def test_a_process_that_rejoins_lists_an_existing_record_unchanged(
    server: LuaServer,
) -> None:
    register(server, process="new", priority="HIGH")
    server.client.delete(KEYS.registrations)

    assert register(server, process="old", priority="LOW", mode="rejoin")[0] == "registered"

    found = server.dump()
    assert found[KEYS.registration("openai")][0]["priority"] == "HIGH"
    assert found[KEYS.registration("openai")][0]["registered_by"] == "new"
    assert found[KEYS.registrations][0] == {"openai": 2}
    assert found[KEYS.meta][0]["revision"] == "2"


def test_a_process_that_rejoins_writes_a_missing_record(server: LuaServer) -> None:
    assert register(server, priority="LOW", mode="rejoin") == ["registered", DEADLINE]

    assert server.dump()[KEYS.registration("openai")][0]["priority"] == "LOW"


@pytest.mark.parametrize("key", [KEYS.registrations, KEYS.members, KEYS.meta, KEYS.events])
def test_registering_replaces_keys_of_another_type(server: LuaServer, key: str) -> None:
    register(server, "dead", "C")
    register(server, "openai")
    server.client.delete(key)
    server.client.set(key, "not ours", ex=60)

    assert register(server, "openai")[0] in {"registered", "joined"}
    assert register(server, "claude", "B")[0] == "registered"

    found = server.dump()
    assert {"openai|A", "claude|B"} <= set(found[KEYS.members][0])
    assert {"openai", "claude"} <= set(found[KEYS.registrations][0])
    assert found[KEYS.meta][0]["epoch"]
