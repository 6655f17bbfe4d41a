from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import RETENTION, register

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

NOW = str(START)


def sync(
    server: LuaServer, epoch: str, revision: str, *steps: str | int, writes: bool = False
) -> list[Any]:
    return server.call(
        "snapshot_sync",
        epoch=epoch,
        revision=revision,
        retention_ms=RETENTION,
        steps=steps,
        writes=writes,
    )


def test_an_empty_server_has_the_version_of_an_empty_snapshot(server: LuaServer) -> None:
    assert sync(server, "", "0") == ["same", NOW]


def test_a_snapshot_of_the_current_version_is_the_same(server: LuaServer) -> None:
    register(server)

    assert sync(server, NOW, "1") == ["same", NOW]


def test_an_old_snapshot_gets_the_version_and_the_registrations(server: LuaServer) -> None:
    register(server, "openai")
    register(server, "claude@*")

    listed = ["openai", "1", "claude@*", "2"]
    assert sync(server, NOW, "1") == ["changed", NOW, NOW, "2", "0", *listed]


def test_the_same_revision_of_another_epoch_is_another_version(server: LuaServer) -> None:
    register(server)

    assert sync(server, str(START - 1), "1")[0] == "changed"
    server.begin()
    assert sync(server, NOW, "1") == ["changed", NOW, "", "0", "0"]


def test_cursor_positions_are_taken_in_the_same_call(server: LuaServer) -> None:
    register(server)

    assert sync(server, NOW, "1", "a", 2, "b", 1, writes=True) == ["same", NOW, "0", "0"]
    reply = sync(server, "", "0", "b", 1, "a", 1, writes=True)
    assert reply == ["changed", NOW, NOW, "1", "2", "1", "2", "openai", "1"]

    content, expiry = server.dump()[KEYS.cursors]
    assert content == {"a": "3", "b": "2"}
    assert abs(expiry - (START + RETENTION)) < 1_000
