from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import LEASE, RETENTION, heartbeat, leases, leave, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lua.lua_server import LuaServer

SLOTS = KEYS.slots("openai")
NOW = str(START)


def limit(server: LuaServer, slots: object, registration: str = "openai") -> None:
    """Write a record with this limit."""
    record: dict[Any, Any] = {"name": "openai", "max_in_flight": str(slots)}
    server.client.hset(KEYS.registration(registration), mapping=record)


def take(
    server: LuaServer,
    slot: str = "A|1",
    registration: str = "openai",
    known: object = "",
    lease: int = LEASE,
    *,
    writes: bool = True,
) -> list[Any]:
    return server.call(
        "slot_take",
        registration,
        process=slot.partition("|")[0],
        slot=slot,
        limit=str(known),
        lease_ms=lease,
        retention_ms=RETENTION,
        writes=writes,
    )


def release(server: LuaServer, *slots: str, writes: bool = True) -> list[Any]:
    return server.call("slot_release", "openai", held=slots, writes=writes)


def renew_slots(server: LuaServer, slots: Iterable[str], lease: int = LEASE) -> list[Any]:
    held = [part for slot in slots for part in ("1", slot)]
    return server.call("slot_renew", tail=[SLOTS], lease_ms=lease, held=held)


def taken(server: LuaServer) -> set[str]:
    return set(server.dump().get(SLOTS, ({}, 0))[0])


def test_no_more_slots_are_taken_than_the_registration_allows(server: LuaServer) -> None:
    limit(server, 2)

    assert take(server, "A|1") == ["taken", NOW, "1"]
    assert take(server, "B|1") == ["taken", NOW, "2"]
    assert take(server, "C|1", writes=False) == ["full", NOW, "2", "0"]

    assert server.dump()[SLOTS][0] == {"A|1": START + LEASE, "B|1": START + LEASE}


def test_taking_a_slot_again_returns_the_same_slot(server: LuaServer) -> None:
    limit(server, 1)
    take(server, "A|1")

    assert take(server, "A|1", writes=False) == ["taken", NOW, "1"]


def test_the_limit_in_redis_takes_precedence_over_the_callers(server: LuaServer) -> None:
    limit(server, 2)
    take(server, "A|1")
    take(server, "A|2")

    limit(server, 3)
    assert take(server, "A|3", known=2) == ["taken", NOW, "3"]
    limit(server, 1)
    assert take(server, "A|4", known=9, writes=False) == ["full", NOW, "3", "0"]
    limit(server, "")
    assert take(server, "A|4", known=1, writes=False) == ["unlimited", NOW]


def test_a_record_of_an_older_version_has_no_limit(server: LuaServer) -> None:
    server.client.hset(KEYS.registration("openai"), "name", "openai")

    assert take(server, known="", writes=False) == ["unlimited", NOW]


@pytest.mark.parametrize("record", ["nothing", "a string", "not a number"])
def test_the_callers_limit_is_used_if_the_record_is_lost(server: LuaServer, record: str) -> None:
    if record == "a string":
        server.client.set(KEYS.registration("openai"), "not ours", ex=60)
    elif record == "not a number":
        limit(server, "many")

    assert take(server, "A|1", known=1) == ["taken", NOW, "1"]
    assert take(server, "B|1", known=1, writes=False) == ["full", NOW, "1", "0"]


def test_all_registrations_of_a_provider_share_its_slots(server: LuaServer) -> None:
    limit(server, 2)
    limit(server, 1, "openai@chat")

    take(server, "A|1", "openai")

    assert take(server, "B|1", "openai@chat", writes=False)[0] == "full"
    assert take(server, "B|1", "openai")[0] == "taken"


def test_a_slot_that_is_not_renewed_is_free_after_a_lease(server: LuaServer) -> None:
    limit(server, 1)
    take(server, "A|1")
    server.clock.now += LEASE - 1
    assert take(server, "B|1", writes=False)[0] == "full"
    server.clock.now += 1

    assert take(server, "B|1") == ["taken", str(server.clock.now), "1"]

    assert taken(server) == {"B|1"}


def test_a_slot_ends_with_the_lease_of_its_process(server: LuaServer) -> None:
    limit(server, 2)
    take(server, "A|1")
    take(server, "B|1")

    assert leave(server, "A") == ["left"]

    assert take(server, "C|1") == ["taken", NOW, "2"]
    assert taken(server) == {"B|1", "C|1"}


def test_the_reply_says_when_the_slot_of_a_silent_process_is_free(
    server: LuaServer,
) -> None:
    limit(server, 2)
    take(server, "A|1")
    take(server, "B|1")
    server.clock.now += LEASE // 2 + 1
    heartbeat(server, "B")
    renew_slots(server, ["B|1"])

    reply = take(server, "C|1", writes=False)

    assert reply == ["full", str(server.clock.now), "2", str(START + LEASE)]


def test_a_process_that_takes_a_slot_is_present_for_a_lease(server: LuaServer) -> None:
    limit(server, 2)
    heartbeat(server, "A")
    server.clock.now += 1_000

    take(server, "A|1")

    assert leases(server) == {"A": server.clock.now + LEASE}
    server.clock.now += LEASE
    assert sweep(server) == ["expired", "ended"]
    assert leases(server) == {}


def test_keys_expire_after_the_longest_lease(server: LuaServer) -> None:
    limit(server, 2)
    take(server, "A|1", lease=2 * LEASE)
    take(server, "B|1", lease=LEASE)

    expiries = server.expiries()

    assert abs(expiries[SLOTS] - (START + 2 * LEASE)) < 1_000
    assert abs(expiries[KEYS.leases] - (START + 2 * LEASE + RETENTION)) < 1_000


def test_a_released_slot_can_be_taken(server: LuaServer) -> None:
    limit(server, 2)
    take(server, "A|1")
    take(server, "A|2")

    assert release(server, "A|1", "A|7") == ["released", 1]
    assert release(server, "A|1", writes=False) == ["released", 0]

    assert take(server, "B|1") == ["taken", NOW, "2"]


def test_a_heartbeat_renews_the_slots_of_its_process(server: LuaServer) -> None:
    limit(server, 2)
    take(server, "A|1")
    take(server, "B|1")
    server.clock.now += LEASE // 3

    assert renew_slots(server, ["A|1"]) == ["renewed", 1]

    assert server.dump()[SLOTS][0] == {"A|1": server.clock.now + LEASE, "B|1": START + LEASE}
    assert abs(server.expiries()[SLOTS] - (server.clock.now + LEASE)) < 1_000


def test_a_heartbeat_takes_slots_again_that_redis_has_lost(server: LuaServer) -> None:
    limit(server, 1)
    heartbeat(server, "A")

    assert renew_slots(server, ["A|1", "A|2"]) == ["renewed", 2]

    assert take(server, "B|1", writes=False) == ["full", NOW, "2", "0"]
    assert abs(server.expiries()[SLOTS] - (START + LEASE)) < 1_000


def test_a_heartbeat_removes_expired_slots(server: LuaServer) -> None:
    limit(server, 2)
    take(server, "A|1")
    take(server, "B|1")
    server.clock.now += LEASE // 2
    renew_slots(server, ["A|1"])
    server.clock.now += LEASE // 2

    renew_slots(server, ["A|1"])

    assert taken(server) == {"A|1"}


def test_slots_of_several_providers_are_renewed_in_one_call(server: LuaServer) -> None:
    names = ["one", "two"]
    reply = server.call(
        "slot_renew",
        tail=[KEYS.slots(name) for name in names],
        lease_ms=LEASE,
        held=["1", "A|1", "2", "A|2", "2", "A|3"],
    )

    assert reply == ["renewed", 3]
    found = server.dump()
    assert set(found[KEYS.slots("one")][0]) == {"A|1"}
    assert set(found[KEYS.slots("two")][0]) == {"A|2", "A|3"}
