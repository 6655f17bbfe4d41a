from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lua.lua_server import KEYS
from tests.lua.registering import register, renew, unregister

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_the_registration_goes_with_its_last_member(server: LuaServer) -> None:
    register(server)

    assert unregister(server) == ["removed"]

    found = server.dump()
    assert KEYS.registrations not in found
    assert KEYS.registration("openai") not in found
    assert set(found[KEYS.members][0]) == {"|A"}
    assert found[KEYS.meta][0]["revision"] == "2"
    assert server.events()[-1] == {
        "kind": "provider_unregistered",
        "provider": "openai",
        "actor": "A",
        "reason": "",
        "id": "openai",
    }


def test_a_registration_with_other_members_stays(server: LuaServer) -> None:
    register(server, "openai@chat", "A")
    register(server, "openai@chat", "B")

    assert unregister(server, "openai@chat") == ["left"]

    found = server.dump()
    assert found[KEYS.registrations][0] == {"openai@chat": 1}
    assert set(found[KEYS.members][0]) == {"|A", "|B", "openai@chat|B"}
    assert found[KEYS.meta][0]["revision"] == "1"
    assert server.events()[-1]["kind"] == "member_left"
    assert server.events()[-1]["id"] == "openai@chat"


def test_a_process_that_is_not_a_member_changes_nothing(server: LuaServer) -> None:
    assert unregister(server, writes=False) == ["absent"]
    register(server, process="B")

    assert unregister(server, writes=False) == ["absent"]


def test_a_registration_whose_name_begins_with_another_name_stays(server: LuaServer) -> None:
    register(server, "openai", "A")
    register(server, "openai@chat", "B")
    register(server, "openai-2", "B")

    assert unregister(server, "openai", "A") == ["removed"]

    assert set(server.dump()[KEYS.registrations][0]) == {"openai@chat", "openai-2"}


def test_the_last_member_to_leave_is_recognised_after_members_were_deleted(
    server: LuaServer,
) -> None:
    register(server)
    server.client.delete(KEYS.members)
    renew(server, [])
    register(server, mode="rejoin")

    assert unregister(server) == ["removed"]

    assert set(server.dump()[KEYS.members][0]) == {"|A"}
