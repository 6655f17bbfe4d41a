"""The number of partitions: a named one counts, a default one until another is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.lua.lua_server import KEYS
from tests.lua.registering import heartbeat

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

KEEP_MS = 60_000


def agree(server: LuaServer, partitions: int, origin: str, process: str = "A") -> list[Any]:
    return server.call(
        "namespace_agree", partitions=partitions, origin=origin, actor=process, keep_ms=KEEP_MS
    )


@pytest.mark.parametrize("origin", ["named", "default"])
def test_the_first_number_is_recorded(server: LuaServer, origin: str) -> None:
    assert agree(server, 8, origin) == ["agreed", "8", origin]

    assert server.client.hgetall(KEYS.namespace) == {
        "partitions": "8",
        "origin": origin,
        "named_by": "A",
    }
    assert 0 < server.client.pttl(KEYS.namespace) <= KEEP_MS


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        ((1, "default"), (8, "named"), ["agreed", "8", "named"]),
        ((8, "named"), (1, "default"), ["agreed", "8", "named"]),
        ((8, "named"), (4, "named"), ["agreed", "8", "named"]),
        ((1, "named"), (4, "named"), ["agreed", "1", "named"]),
        ((1, "default"), (1, "named"), ["agreed", "1", "named"]),
    ],
)
def test_a_named_number_replaces_a_default_one_only(
    server: LuaServer, first: tuple[int, str], second: tuple[int, str], counts: list[str]
) -> None:
    agree(server, *first)

    assert agree(server, *second, "B") == counts
    assert agree(server, *first) == counts


@pytest.mark.parametrize("number", ["", "many", "0", "-3", "2.5"])
def test_a_number_that_was_damaged_is_written_anew(server: LuaServer, number: str) -> None:
    server.client.hset(KEYS.namespace, mapping={"partitions": number, "origin": "named"})

    assert agree(server, 8, "default") == ["agreed", "8", "default"]


def test_a_key_of_another_type_is_written_anew(server: LuaServer) -> None:
    server.client.set(KEYS.namespace, "x")

    assert agree(server, 8, "named") == ["agreed", "8", "named"]


def test_a_heartbeat_puts_a_lost_number_back_and_tells_the_one_that_counts(
    server: LuaServer,
) -> None:
    assert heartbeat(server, partitions=8, origin="named")[5:7] == ["8", "named"]
    assert server.client.hget(KEYS.namespace, "partitions") == "8"

    assert heartbeat(server, "B", partitions=1, origin="default")[5:7] == ["8", "named"]


def test_a_heartbeat_in_another_partition_records_nothing(server: LuaServer) -> None:
    heartbeat(server)

    assert KEYS.namespace not in server.dump()
