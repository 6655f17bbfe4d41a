from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    LEASE,
    heartbeat,
    holders,
    leases,
    leave,
    register,
    registered,
    sweep,
    unregister,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_a_process_that_leaves_has_no_lease_any_more(server: LuaServer) -> None:
    register(server, process="A")
    register(server, process="B")
    unregister(server, process="A")

    assert leave(server) == ["left"]

    assert leases(server) == {"B": START + LEASE}
    found = server.dump()
    assert KEYS.process("A") not in found
    assert KEYS.lease("A") not in found
    assert holders(server) == {"B"}
    assert server.comings_and_goings()[-1] == ("process_left", "A")


def test_a_process_without_a_lease_changes_nothing(server: LuaServer) -> None:
    register(server, process="B")

    assert leave(server, writes=False) == ["absent"]


def test_a_process_leaves_once(server: LuaServer) -> None:
    heartbeat(server)

    assert leave(server) == ["left"]
    assert leave(server, writes=False) == ["absent"]


def test_a_lease_on_which_registrations_still_hang_is_over_and_expires_with_them(
    server: LuaServer,
) -> None:
    register(server)

    assert leave(server) == ["held"]

    assert leases(server) == {"A": START}
    assert registered(server) == ["openai"]
    assert sweep(server) == ["expired", "expired", "ended"]
    assert (registered(server), leases(server)) == ([], {})
    assert server.kinds()[-1] == "provider_expired"
    assert server.comings_and_goings()[-1] == ("process_expired", "A")
