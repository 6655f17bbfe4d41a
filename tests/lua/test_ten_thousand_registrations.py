"""One process may have more registrations than Lua can unpack at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import LEASE, RETENTION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.lua.lua_server import LuaServer

IDS: Final = [f"p{n:05}" for n in range(10_000)]


@pytest.fixture
def full(moved_real_server: LuaServer) -> LuaServer:
    """A real server with ten thousand registrations of process A."""
    server = moved_real_server
    pipe = server.client.pipeline(transaction=False)
    for one in IDS:
        pipe.hset(KEYS.registration(one), "name", one)
    pipe.zadd(KEYS.registrations, {one: n for n, one in enumerate(IDS, 1)})
    pipe.zadd(KEYS.members, dict.fromkeys(["|A", *(f"{one}|A" for one in IDS)], START + LEASE))
    pipe.hset(KEYS.meta, mapping={"epoch": START, "revision": 1, "registered": len(IDS)})
    pipe.execute()
    return server


def call(
    server: LuaServer,
    script: str,
    tail: Sequence[str] = (),
    **args: str | int | Sequence[str | int],
) -> list[str]:
    """Call a script without a dump of everything before and after."""
    parameters = server.scripts[script].keys
    variadic = server.scripts[script].keys_variadic
    keys = KEYS.for_parameters(parameters[:-1] if variadic else parameters)
    if variadic:
        keys[parameters[-1]] = tail
    return server.run(script, keys, args)


def renew(server: LuaServer) -> list[str]:
    fixed: Mapping[str, str | int] = {
        "process": "A",
        "lease_ms": LEASE,
        "retention_ms": RETENTION,
        "outage": 0,
        "share": "0.5",
    }
    hashes = [*map(KEYS.registration, IDS), *map(KEYS.breaker, IDS)]
    return call(server, "registration_renew", hashes, **fixed, ids=IDS)


def expire(server: LuaServer, ids: Sequence[str]) -> list[str]:
    hashes = [KEYS.registration(one) for one in ids]
    args: Mapping[str, str | int] = {"process": "B", "lease_ms": LEASE, "share": "0.5"}
    return call(server, "members_expire", hashes, **args, ids=ids)


def test_a_heartbeat_renews_them_all(full: LuaServer) -> None:
    full.clock.now += 1

    assert renew(full) == ["renewed", str(START + 1), str(START), "1", "0"]

    assert full.client.zcount(KEYS.members, START + LEASE + 1, START + LEASE + 1) == len(IDS) + 1


def test_a_heartbeat_names_them_all_when_they_are_lost(full: LuaServer) -> None:
    full.client.delete(KEYS.members)

    assert renew(full)[5:] == IDS

    full.clock.now += LEASE
    assert expire(full, IDS) == ["expired", *IDS]


def test_they_expire_when_their_process_has_died(full: LuaServer) -> None:
    full.clock.now += LEASE

    assert expire(full, []) == ["more", *IDS]
    assert expire(full, IDS) == ["expired", *IDS]

    assert full.client.zcard(KEYS.registrations) == 0


def test_they_are_kept_if_redis_was_away(full: LuaServer) -> None:
    full.clock.now += LEASE
    full.client.hset(KEYS.meta, "suspect_until", full.clock.now + LEASE)

    assert expire(full, IDS) == ["suspended"]

    assert full.client.zcount(KEYS.members, "-inf", full.clock.now) == 0


def test_a_snapshot_gets_them_all_and_as_many_cursor_positions(full: LuaServer) -> None:
    steps = [part for one in IDS for part in (one, 1)]

    def sync(epoch: str) -> list[str]:
        version: Mapping[str, str | int] = {"epoch": epoch, "revision": 1}
        return call(full, "snapshot_sync", (), **version, retention_ms=RETENTION, steps=steps)

    reply = sync("")
    assert reply[:6] == ["changed", str(START), "0", str(START), "1", str(len(IDS))]
    assert reply[6 + len(IDS) :: 2] == IDS
    assert sync(str(START))[3:] == ["1"] * len(IDS)
