"""One process may have more registrations, and a fleet more processes, than Lua can unpack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    INTERVAL,
    LEASE,
    RETENTION,
    SWEEP,
    Wanted,
    name_of,
    register_all,
    rows,
)

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
        pipe.sadd(KEYS.holders(one), "A")
    pipe.zadd(KEYS.registrations, {one: n for n, one in enumerate(IDS, 1)})
    pipe.sadd(KEYS.lease("A"), *(f"llm|{one}" for one in IDS))
    pipe.zadd(KEYS.leases, {"A": START + LEASE})
    pipe.hset(KEYS.meta, mapping={"epoch": START, "revision": 1, "registered": len(IDS)})
    pipe.execute()
    return server


def call(
    server: LuaServer,
    script: str,
    tail: Sequence[str] = (),
    **args: str | int | Sequence[str | int],
) -> list[Any]:
    """Call a script without a dump of everything before and after."""
    parameters = server.scripts[script].keys
    variadic = server.scripts[script].keys_variadic
    keys = KEYS.for_parameters(parameters[:-1] if variadic else parameters, "A")
    if variadic:
        keys[parameters[-1]] = tail
    return server.run(script, keys, args)


def hashes() -> list[str]:
    return [key for one in IDS for key in (KEYS.registration(one), KEYS.holders(one))]


def heartbeat(server: LuaServer) -> list[Any]:
    fixed: Mapping[str, str | int] = {
        "holder": "A",
        "lease_ms": LEASE,
        "retention_ms": RETENTION,
        "interval_ms": INTERVAL,
        "held": len(IDS),
        "losses": "",
        "outage": 0,
        "share": "0.5",
        "host": "here",
        "pid": 42,
        "version": "1.0",
        "partitions": 0,
        "origin": "",
    }
    return call(server, "process_heartbeat", [KEYS.meta], **fixed, used=["llm"])


def leases_expire(server: LuaServer, most: int) -> list[Any]:
    return call(
        server,
        "leases_expire",
        sweeper="B",
        lease_ms=LEASE,
        share="0.5",
        sweep_ms=SWEEP,
        most=most,
    )


def test_a_heartbeat_renews_them_all(full: LuaServer) -> None:
    full.clock.now += 1

    assert heartbeat(full)[:7] == ["renewed", str(START + 1), "0", "1", "0", "0", ""]

    assert full.client.zscore(KEYS.leases, "A") == START + 1 + LEASE


def test_a_heartbeat_notices_that_one_of_them_is_lost(full: LuaServer) -> None:
    full.client.srem(KEYS.lease("A"), f"llm|{IDS[-1]}")

    assert heartbeat(full)[0] == "rejoin"


def test_a_look_for_lost_data_names_them_all_when_they_are_lost(full: LuaServer) -> None:
    def look(revision: int) -> list[Any]:
        return call(
            full,
            "registration_check",
            hashes(),
            checker="B",
            epoch=START,
            revision=revision,
            keep_ms=LEASE + RETENTION,
            lease_ms=LEASE,
            sample=100,
            ids=len(IDS),
            names=IDS,
        )

    assert look(1) == ["checked", "0"]
    full.client.delete(KEYS.registrations)
    assert look(1) == ["checked", str(len(IDS)), *IDS]
    assert full.kinds() == ["state_lost"]
    assert full.client.exists(*map(KEYS.registration, IDS)) == 0


def test_they_expire_when_their_process_has_died(full: LuaServer) -> None:
    full.clock.now += LEASE
    of_each = [part for one in IDS for part in (one, name_of(one))]

    reply = call(
        full,
        "registration_expire",
        hashes(),
        service_type="llm",
        holder="A",
        sweeper="B",
        ids=of_each,
    )

    assert reply == ["expired", *IDS]
    assert full.client.exists(KEYS.registrations, KEYS.lease("A"), *hashes()) == 0


def test_they_end_when_their_process_unregisters_them(full: LuaServer) -> None:
    of_each = [part for one in IDS for part in (one, name_of(one))]

    reply = call(
        full, "registration_unregister", hashes(), service_type="llm", holder="A", ids=of_each
    )

    assert reply == ["unregistered", *["removed"] * len(IDS)]
    assert full.client.exists(KEYS.registrations, KEYS.lease("A"), *hashes()) == 0


def test_two_thousand_are_registered_in_one_call(moved_real_server: LuaServer) -> None:
    reply = register_all(moved_real_server, map(Wanted, IDS[:2_000]))

    assert [int(row.order) for row in rows(reply)] == list(range(1, 2_001))
    assert reply[3:5] == ["0", "2000"]


def test_ten_thousand_leases_are_kept_if_redis_was_away_and_then_removed_in_parts(
    full: LuaServer,
) -> None:
    full.client.zadd(KEYS.leases, dict.fromkeys(IDS, START + LEASE))
    full.clock.now += LEASE
    full.client.hset(KEYS.expiry, "suspect_until", full.clock.now + LEASE)

    assert leases_expire(full, 100) == ["suspended"]
    assert full.client.zcount(KEYS.leases, "-inf", full.clock.now) == 0

    full.clock.now += LEASE
    assert len(leases_expire(full, 100)) == 101
    assert len(leases_expire(full, 20_000)) == len(IDS) + 2


def test_a_snapshot_gets_them_all_and_as_many_cursor_positions(full: LuaServer) -> None:
    steps = [part for one in IDS for part in (one, 1)]

    def sync(epoch: str) -> list[str]:
        version: Mapping[str, str | int] = {"epoch": epoch, "revision": 1}
        return call(full, "snapshot_sync", (), **version, retention_ms=RETENTION, steps=steps)

    reply = sync("")
    assert reply[:5] == ["changed", str(START), str(START), "1", str(len(IDS))]
    assert reply[5 + len(IDS) :: 2] == IDS
    assert sync(str(START))[2:] == ["1"] * len(IDS)
