from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import RETENTION

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

CURSOR = "chat|0|NORMAL"


def take(server: LuaServer, steps: int, cursor: str = CURSOR, *, writes: bool = True) -> list[Any]:
    return server.call(
        "cursor_take", cursor=cursor, steps=steps, retention_ms=RETENTION, writes=writes
    )


def test_positions_are_taken_in_order(server: LuaServer) -> None:
    assert [take(server, steps) for steps in (1, 3, 1)] == [
        ["taken", "0"],
        ["taken", "1"],
        ["taken", "4"],
    ]
    content, expiry = server.dump()[KEYS.cursors]
    assert content == {CURSOR: "5"}
    assert abs(expiry - (START + RETENTION)) < 1_000


def test_each_rotation_has_a_position_of_its_own(server: LuaServer) -> None:
    take(server, 7)

    assert take(server, 1, "*|0|NORMAL") == ["taken", "0"]


def test_zero_steps_take_no_position(server: LuaServer) -> None:
    assert take(server, 0, writes=False) == ["taken", "0"]
    take(server, 2)

    assert take(server, 0, writes=False) == ["taken", "2"]


def test_a_damaged_position_starts_again(server: LuaServer) -> None:
    server.client.hset(KEYS.cursors, CURSOR, "not a number")

    assert take(server, 0, writes=False) == ["taken", "0"]
    assert take(server, 2) == ["taken", "0"]
    assert take(server, 1) == ["taken", "2"]


def test_a_cursors_key_of_another_type_is_replaced(server: LuaServer) -> None:
    server.client.set(KEYS.cursors, "not positions", ex=60)

    assert take(server, 0, writes=False) == ["taken", "0"]
    assert take(server, 2) == ["taken", "0"]
    assert take(server, 1) == ["taken", "2"]
