from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    LEASE,
    SWEEP,
    heartbeat,
    holders,
    leases,
    leases_expire,
    register,
    registered,
    sweep,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_nothing_has_expired(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE - 1

    assert leases_expire(server, writes=False) == ["expired"]


def test_an_empty_server_has_nothing_to_expire(server: LuaServer) -> None:
    assert leases_expire(server, writes=False) == ["expired"]


def test_the_processes_whose_lease_is_over_are_named_and_not_removed(server: LuaServer) -> None:
    register(server, process="A")
    register(server, process="C")
    server.clock.now += 1
    register(server, process="D")
    server.clock.now += LEASE - 1

    assert leases_expire(server) == ["expired", "A", "C"]

    assert set(leases(server)) == {"A", "C", "D"}
    assert holders(server) == {"A", "C", "D"}


def test_one_process_sweeps_at_a_time(server: LuaServer) -> None:
    heartbeat(server)
    server.clock.now += LEASE

    assert leases_expire(server, "B") == ["expired", "A"]
    assert leases_expire(server, "C", writes=False) == ["busy"]
    assert leases_expire(server, "B")[1:] == ["A"]


def test_what_a_sweeper_has_left_is_named_to_another_one(server: LuaServer) -> None:
    heartbeat(server)
    server.clock.now += LEASE
    leases_expire(server, "B")

    server.clock.now += SWEEP - 1
    assert leases_expire(server, "C", writes=False) == ["busy"]
    server.clock.now += 1
    assert leases_expire(server, "C") == ["expired", "A"]


def test_a_look_that_finds_nothing_keeps_no_other_process_from_sweeping(
    server: LuaServer,
) -> None:
    heartbeat(server)
    leases_expire(server, "B", writes=False)
    server.clock.now += LEASE

    assert leases_expire(server, "C") == ["expired", "A"]


def test_a_sweep_that_began_in_the_future_keeps_no_process_from_sweeping(
    server: LuaServer,
) -> None:
    heartbeat(server)
    server.clock.now += LEASE
    until: dict[Any, Any] = {"sweeper": "B", "swept_until": server.clock.now + 3_600_000}
    server.client.hset(KEYS.expiry, mapping=until)

    assert leases_expire(server, "C") == ["expired", "A"]


def test_no_more_processes_are_named_than_one_sweep_removes(server: LuaServer) -> None:
    for process in "ACDE":
        heartbeat(server, process)
    server.clock.now += LEASE

    assert leases_expire(server, most=3) == ["expired", "A", "C", "D"]


def test_what_a_sweep_knows_expires_as_all_data_does(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE

    sweep(server)

    assert -1 not in server.expiries().values()


@pytest.mark.parametrize("key", [KEYS.leases, KEYS.expiry])
def test_keys_of_another_type_are_repaired(server: LuaServer, key: str) -> None:
    register(server)
    server.client.delete(key)
    server.client.set(key, "not ours", ex=60)
    server.clock.now += LEASE

    assert leases_expire(server) == ["expired"] + (["A"] if key == KEYS.expiry else [])

    assert server.client.type(key) != "string"


def test_a_stream_of_another_type_does_not_keep_leases_from_being_suspended(
    server: LuaServer,
) -> None:
    register(server)
    server.clock.now += LEASE
    heartbeat(server, "B", outage=True)
    server.client.delete(KEYS.processes)
    server.client.set(KEYS.processes, "not ours", ex=60)

    assert leases_expire(server) == ["suspended"]

    assert server.comings_and_goings() == [("expiry_suspended", "")]


@pytest.mark.parametrize(
    ("expired", "alive", "code"), [(3, 1, "suspended"), (2, 2, "expired"), (1, 3, "expired")]
)
def test_more_than_half_at_once_after_an_outage_are_kept_for_one_more_lease(
    server: LuaServer, expired: int, alive: int, code: str
) -> None:
    dead = {f"p{n}": START for n in range(expired)}
    live = {f"q{n}": START + 2 * LEASE for n in range(alive)}
    server.client.zadd(KEYS.leases, {**dead, **live})
    server.client.hset(KEYS.expiry, "suspect_until", START + LEASE)
    server.clock.now += 1

    reply = leases_expire(server)

    if code == "suspended":
        assert reply == ["suspended"]
        assert leases(server) == {**dict.fromkeys(dead, START + 1 + LEASE), **live}
        entries: Any = server.client.xrange(KEYS.processes)
        assert entries[-1][1] == {
            "kind": "expiry_suspended",
            "process": "",
            "actor": "B",
            "reason": "3 of 4 leases expired while Redis was away",
        }
    else:
        assert reply == ["expired", *dead]
        assert leases(server) == {**dead, **live}


def test_a_lease_that_was_kept_once_expires_the_next_time(server: LuaServer) -> None:
    register(server, process="A")
    server.clock.now += LEASE
    heartbeat(server, "B", outage=True)

    assert sweep(server) == ["suspended"]
    server.clock.now += LEASE
    heartbeat(server, "B")
    assert leases_expire(server) == ["expired", "A"]


def test_without_an_outage_all_leases_may_expire_at_once(server: LuaServer) -> None:
    register(server)
    heartbeat(server, held=1, outage=True)
    server.clock.now += LEASE

    assert leases_expire(server) == ["expired", "A"]


def test_the_caller_sets_the_share(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE
    heartbeat(server, "C", outage=True, share=1)

    assert leases_expire(server, share=1) == ["expired", "A"]


def test_a_lease_that_was_kept_once_expires_despite_repeated_outages_of_another_process(
    server: LuaServer,
) -> None:
    register(server, process="A")
    server.clock.now += LEASE
    heartbeat(server, "slow", outage=True)
    assert leases_expire(server) == ["suspended"]

    for _ in range(3):
        server.clock.now += LEASE // 4
        heartbeat(server, "slow", outage=True)
        assert leases_expire(server, writes=False) == ["expired"]
    server.clock.now += LEASE // 4
    heartbeat(server, "slow", outage=True)

    assert leases_expire(server)[1:] == ["A"]
    kinds = [kind for kind, _ in server.comings_and_goings()]
    assert kinds.count("expiry_suspended") == 1


def test_a_lease_is_kept_again_only_if_it_was_renewed_since(server: LuaServer) -> None:
    register(server, "openai", "A")
    register(server, "claude", "D")
    server.clock.now += LEASE
    heartbeat(server, "B", outage=True)
    assert sweep(server) == ["suspended"]
    server.clock.now += 1_000
    heartbeat(server, "D", 1)
    server.clock.now += LEASE
    heartbeat(server, "B", outage=True)

    assert sweep(server) == ["suspended", "expired", "ended"]

    assert registered(server) == ["claude"]
    assert set(leases(server)) == {"B", "D"}


def test_a_minority_that_renews_last_after_an_outage_is_kept_as_well(server: LuaServer) -> None:
    for process in "ACDE":
        register(server, process, process)
    server.clock.now += LEASE
    for process in "ACD":  # each notices only now that Redis was away
        heartbeat(server, process, 1)
        heartbeat(server, process, 1, outage=True)

    assert leases_expire(server) == ["suspended"]

    server.clock.now += LEASE - 1
    assert heartbeat(server, "E", 1)[0] == "renewed"


def test_a_lease_that_expires_during_a_suspension_is_kept_no_longer_than_the_suspension(
    server: LuaServer,
) -> None:
    register(server, "openai", "A")
    register(server, "openai", "E")
    server.clock.now += 1_000
    register(server, "claude", "D")
    server.clock.now += LEASE - 1_000
    heartbeat(server, "B", outage=True)
    first = sweep(server)
    server.clock.now += 1_000

    assert [first, sweep(server)] == [["suspended"], ["suspended"]]

    server.clock.now += LEASE - 1_000
    heartbeat(server, "B")
    assert leases_expire(server) == ["expired", "A", "D", "E"]
