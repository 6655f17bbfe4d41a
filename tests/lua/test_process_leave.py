from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.lua.lua_server import KEYS
from tests.lua.registering import register, unregister

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def leave(server: LuaServer, process: str = "A", *, writes: bool = True) -> list[Any]:
    return server.call("process_leave", process=process, writes=writes)


def test_a_process_that_leaves_is_no_longer_present(server: LuaServer) -> None:
    register(server, process="A")
    register(server, process="B")
    unregister(server, process="A")

    assert leave(server) == ["left", 1]

    assert set(server.dump()[KEYS.members][0]) == {"|B", "openai|B"}
    assert server.kinds()[-1] == "member_left"


def test_a_process_that_was_not_present_changes_nothing(server: LuaServer) -> None:
    register(server, process="B")

    assert leave(server, writes=False) == ["left", 0]
