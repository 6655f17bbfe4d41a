from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.lua.lua_server import KEYS, START, fields
from tests.lua.registering import LEASE, heartbeat, leave, register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lua.lua_server import LuaServer

NOW = str(START)
CALLERS = 64
"""So many callers of a breaker are read at most."""


def load(
    server: LuaServer,
    ids: Sequence[str],
    names: Sequence[str],
    version: tuple[str, str] = (NOW, "1"),
) -> list[Any]:
    hashes = [KEYS.registration(one) for one in ids]
    for name in names:
        hashes += [KEYS.breaker(name), KEYS.permits(name), KEYS.callers(name)]
    return server.call(
        "snapshot_load",
        tail=hashes,
        epoch=version[0],
        revision=version[1],
        ids=len(ids),
        writes=False,
    )


def test_the_reply_is_in_the_order_of_the_keys(server: LuaServer) -> None:
    register(server, "openai@chat")
    server.client.hset(KEYS.breaker("openai"), "state", "half_open")
    server.client.zadd(KEYS.permits("openai"), {"A|1": START + 7})
    server.client.zadd(KEYS.callers("openai"), {"failed|A": START + 9})

    word, now, record, other, breaker, permits, callers, *more = load(
        server, ["openai@chat", "unknown"], ["openai", "unknown"]
    )

    assert (word, now) == ("loaded", NOW)
    assert fields(record)["name"] == "openai"
    assert fields(breaker)["state"] == "half_open"
    assert permits == ["A|1", str(START + 7)]
    assert callers == ["failed|A", str(START + 9)]
    assert other == []
    assert more == [[], [], []]


def test_an_old_version_is_refused(server: LuaServer) -> None:
    register(server)
    register(server, "claude")

    assert load(server, ["openai"], ["openai"]) == ["moved", NOW]
    assert load(server, ["openai"], ["openai"], (str(START - 1), "2")) == ["moved", NOW]


def test_an_empty_server_can_be_loaded(server: LuaServer) -> None:
    assert load(server, [], [], ("", "0")) == ["loaded", NOW]


def test_a_permit_ends_with_the_lease_of_its_process(server: LuaServer) -> None:
    register(server)
    heartbeat(server, "C")
    leave(server, "C")
    permits = {"A|1": START + 2 * LEASE, "A|2": START + 7, "C|1": START + 8, "D": START + 9}
    server.client.zadd(KEYS.permits("openai"), permits)

    found = load(server, [], ["openai"])[3]

    assert fields(found) == {
        "A|1": str(START + LEASE),
        "A|2": str(START + 7),
        "C|1": "0",
        "D": "0",
    }


@pytest.mark.parametrize("damage", ["deleted", "another type"])
def test_permits_without_leases_have_ended(server: LuaServer, damage: str) -> None:
    register(server)
    server.client.zadd(KEYS.permits("openai"), {"A|1": START + 7})
    server.client.delete(KEYS.leases)
    if damage == "another type":
        server.client.set(KEYS.leases, "not ours", ex=60)

    assert load(server, [], ["openai"])[3] == ["A|1", "0"]


def test_of_many_callers_the_newest_are_read(server: LuaServer) -> None:
    register(server)
    callers = {f"called|p{n}": START + n for n in range(CALLERS + 10)}
    server.client.zadd(KEYS.callers("openai"), callers)

    found = load(server, [], ["openai"])[4]

    newest = [f"called|p{n}" for n in reversed(range(10, CALLERS + 10))]
    assert found[::2] == newest
    assert found[1::2] == [str(callers[one]) for one in newest]


def test_a_key_of_another_type_is_marked_as_damaged_and_affects_no_other(server: LuaServer) -> None:
    register(server)
    of_the_breaker = (KEYS.breaker("openai"), KEYS.permits("openai"), KEYS.callers("openai"))
    for key in (*of_the_breaker, KEYS.registration("claude")):
        server.client.set(key, "not what it should be")

    *_, record, other, breaker, permits, callers = load(server, ["openai", "claude"], ["openai"])

    assert fields(record)["name"] == "openai"
    for damaged in (other, breaker, permits, callers):
        assert damaged[0] == "damaged"
        assert "WRONGTYPE" in damaged[1]
