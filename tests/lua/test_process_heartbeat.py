from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    INTERVAL,
    LEASE,
    RETENTION,
    Wanted,
    check,
    heartbeat,
    held_by,
    holders,
    leases,
    register,
    register_all,
    registered,
    unregister,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

DAY = 86_400_000
NOW = str(START)


def test_a_heartbeat_writes_the_process_its_lease_and_its_service_types(server: LuaServer) -> None:
    reply = heartbeat(server, used=["llm", "memory"])

    assert reply == ["renewed", NOW, "0", "1", "0", "", "0", "0", "", "0", "0"]
    found = server.dump()
    assert set(found) == {KEYS.leases, KEYS.process("A"), KEYS.processes, KEYS.types}
    assert found[KEYS.leases][0] == {"A": START + LEASE}
    assert found[KEYS.types][0] == {"llm", "memory"}
    assert found[KEYS.process("A")][0] == {
        "host": "here",
        "pid": "42",
        "version": "1.0",
        "started": NOW,
    }
    assert server.comings_and_goings() == [("process_joined", "A")]


def test_the_process_is_described_for_a_lease_and_the_rest_outlives_it_by_the_retention(
    server: LuaServer,
) -> None:
    register(server)
    server.clock.now += 11_000  # a tenth of the time, ten seconds at most, is not worth a write
    now = server.clock.now

    heartbeat(server, held=1, outage=True)

    expiries = server.expiries()
    for key in (KEYS.leases, KEYS.lease("A"), KEYS.types, KEYS.expiry):
        assert abs(expiries[key] - (now + LEASE + RETENTION)) < 1_000, key
    assert abs(expiries[KEYS.process("A")] - (now + LEASE)) < 1_000
    assert abs(expiries[KEYS.processes] - (now + DAY)) < 1_000 or (
        abs(expiries[KEYS.processes] - (START + DAY)) < 1_000
    )


def test_later_heartbeats_keep_the_start_time_and_announce_nothing(server: LuaServer) -> None:
    heartbeat(server)
    server.clock.now += 1_000

    assert heartbeat(server, version="1.1")[:2] == ["renewed", str(START + 1_000)]

    process, ends = server.dump()[KEYS.process("A")]
    assert process == {"host": "here", "pid": "42", "version": "1.1", "started": NOW}
    assert abs(ends - (START + 1_000 + LEASE)) < 1_000
    assert server.comings_and_goings() == [("process_joined", "A")]


def test_a_process_without_service_types_writes_no_list(server: LuaServer) -> None:
    assert heartbeat(server, used=[]) == ["renewed", NOW, "0", "1", "0"]

    assert KEYS.types not in server.dump()


def test_one_lease_is_renewed_for_all_registrations_of_a_process(server: LuaServer) -> None:
    register(server, "openai")
    register(server, "claude@chat")
    register(server, "store", service_type="memory")
    before = server.dump()
    server.clock.now += 1_000

    assert heartbeat(server, held=3)[0] == "renewed"

    assert leases(server) == {"A": START + 1_000 + LEASE}
    found = server.dump()
    for key in (KEYS.registrations, KEYS.holders("openai"), KEYS.lease("A")):
        assert found[key][0] == before[key][0]
    assert server.kinds() == ["provider_registered"] * 2


def test_a_lease_that_is_over_but_not_removed_is_renewed_with_all_that_hangs_on_it(
    server: LuaServer,
) -> None:
    register(server)
    server.clock.now += 2 * LEASE

    assert heartbeat(server, held=1)[0] == "renewed"

    assert leases(server) == {"A": server.clock.now + LEASE}
    assert (registered(server), held_by(server, "A")) == (["openai"], {"llm": ["openai"]})


@pytest.mark.parametrize("lost", ["the lease", "all that hung on it", "one registration"])
def test_a_process_whose_registrations_redis_has_lost_must_rejoin(
    server: LuaServer, lost: str
) -> None:
    register(server, "openai")
    register(server, "claude")
    if lost == "the lease":
        server.client.zrem(KEYS.leases, "A")
    elif lost == "all that hung on it":
        server.client.delete(KEYS.lease("A"))
    else:
        server.client.srem(KEYS.lease("A"), "llm|claude")

    assert heartbeat(server, held=2)[0] == "rejoin"

    assert leases(server) == {"A": START + LEASE}


def test_a_process_on_whose_lease_more_hangs_than_it_has_written_must_rejoin(
    server: LuaServer,
) -> None:
    register(server, "openai")
    server.client.sadd(KEYS.lease("A"), "llm|left")

    assert heartbeat(server, held=1)[0] == "rejoin"


def test_an_empty_server_asks_for_every_registration(server: LuaServer) -> None:
    assert heartbeat(server, held=1)[0] == "rejoin"


def test_a_process_that_has_written_nothing_need_not_rejoin(server: LuaServer) -> None:
    register(server)
    unregister(server)

    assert heartbeat(server)[0] == "renewed"
    server.begin()
    assert heartbeat(server)[0] == "renewed"


def test_the_reply_has_the_version_of_each_service_type_in_order(server: LuaServer) -> None:
    register(server, "openai")
    register(server, "claude")
    server.clock.now += 1
    register(server, "store", service_type="memory")

    reply = heartbeat(server, used=["memory", "unknown", "llm"])

    assert reply[5:] == [str(START + 1), "1", "1", "", "0", "0", NOW, "2", "1"]


def test_one_process_at_each_interval_has_to_look_for_lost_data(server: LuaServer) -> None:
    register(server, process="A")
    register(server, process="B")

    def has_to_look(process: str) -> bool:
        return bool(heartbeat(server, process, 1)[7] == "1")

    assert [has_to_look("A"), has_to_look("B")] == [True, False]
    server.clock.now += INTERVAL - 1
    assert not has_to_look("A")
    server.clock.now += 1
    assert [has_to_look("B"), has_to_look("A")] == [True, False]


def test_lost_data_is_looked_for_if_the_clock_has_gone_back(server: LuaServer) -> None:
    register(server)
    server.client.hset(KEYS.meta, "checked_at", START + 3_600_000)

    assert heartbeat(server, held=1)[7] == "1"

    assert server.dump()[KEYS.meta][0]["checked_at"] == NOW


def test_expired_leases_of_others_are_counted_and_not_removed(server: LuaServer) -> None:
    register(server, process="B")
    heartbeat(server, "C")
    server.clock.now += LEASE

    assert heartbeat(server, "A")[2] == "2"

    assert set(leases(server)) == {"A", "B", "C"}
    assert holders(server) == {"B"}


def test_the_reply_has_the_number_of_processes(server: LuaServer) -> None:
    assert [heartbeat(server, process)[3] for process in "ABA"] == ["1", "2", "2"]


def test_a_process_does_not_count_its_own_lease_as_expired(server: LuaServer) -> None:
    heartbeat(server)
    server.clock.now += LEASE

    assert heartbeat(server)[2] == "0"


def test_after_an_outage_expiries_are_suspicious_for_one_lease(server: LuaServer) -> None:
    register(server)

    heartbeat(server, held=1, outage=True)

    assert server.dump()[KEYS.expiry][0] == {"suspect_until": str(START + LEASE)}


def test_a_heartbeat_notes_a_mass_expiry(server: LuaServer) -> None:
    for process in "BCD":
        heartbeat(server, process)
    server.clock.now += LEASE
    now = server.clock.now

    heartbeat(server, "A", share=0.9)
    assert server.dump()[KEYS.expiry][0] == {"mass_expiry_until": str(now + LEASE)}
    server.client.delete(KEYS.expiry)
    heartbeat(server, "B", share=0.9)
    assert KEYS.expiry not in server.dump()


@pytest.mark.parametrize(
    "key",
    [
        KEYS.leases,
        KEYS.lease("A"),
        KEYS.process("A"),
        KEYS.types,
        KEYS.expiry,
        KEYS.meta,
    ],
)
def test_a_heartbeat_repairs_keys_of_another_type(server: LuaServer, key: str) -> None:
    register(server, "openai", "A")
    register(server, "claude", "C")
    server.client.delete(key)
    server.client.set(key, "not ours", ex=60)

    for _ in range(2):
        if heartbeat(server, held=1, outage=True)[0] == "rejoin":
            register(server, "openai", "A", mode="rejoin")
    assert heartbeat(server, held=1)[0] == "renewed"

    assert server.client.type(key) != "string"
    assert (holders(server), held_by(server, "A")) == ({"A"}, {"llm": ["openai"]})
    assert leases(server)["A"] == START + LEASE


def test_a_service_type_whose_meta_was_deleted_has_a_version_after_a_heartbeat(
    server: LuaServer,
) -> None:
    register(server)
    server.client.delete(KEYS.meta)
    server.clock.now += 1

    for _ in range(2):
        if heartbeat(server, held=1)[0] == "rejoin":
            register(server, mode="rejoin")

    assert heartbeat(server, held=1)[5:7] == [str(START + 1), "1"]


def test_a_process_registers_again_when_redis_has_lost_who_holds_a_registration(
    server: LuaServer,
) -> None:
    register_all(server, [Wanted("openai")], process="A")
    losses = heartbeat(server, held=1)[4]
    assert heartbeat(server, held=1, losses=losses)[0] == "renewed"

    server.client.delete(KEYS.holders("openai"))
    assert check(server, ["openai"]) == ["checked", "1", "openai"]

    assert heartbeat(server, held=1, losses=losses)[0] == "rejoin"
    assert heartbeat(server, held=1, losses=heartbeat(server, held=1)[4])[0] == "renewed"
