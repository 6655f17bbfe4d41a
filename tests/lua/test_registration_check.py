from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lua.breaker_calls import override
from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    LEASE,
    RETENTION,
    Wanted,
    check,
    heartbeat,
    holders,
    register,
    register_all,
    registered,
)
from tests.lua.test_snapshot_sync import sync

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

KEPT = START + LEASE + RETENTION


def test_a_service_type_of_which_nothing_is_lost_is_left_as_it_is(server: LuaServer) -> None:
    register(server)
    before = server.dump()

    assert check(server, ["openai"], ["openai"]) == ["checked", "0"]

    found = server.dump()
    assert {key: content for key, (content, _) in found.items()} == {
        key: content for key, (content, _) in before.items()
    }


@pytest.mark.parametrize("damage", ["deleted", "another type"])
@pytest.mark.parametrize("key", [KEYS.registration("openai"), KEYS.holders("openai")])
def test_a_registration_that_redis_has_lost_is_named_and_removed_whole(
    server: LuaServer, key: str, damage: str
) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.delete(key)
    if damage == "another type":
        server.client.set(key, "not ours", ex=60)

    assert check(server, ["openai", "claude"], ["openai", "claude"]) == ["checked", "1", "openai"]

    found = server.dump()
    assert KEYS.registration("openai") not in found
    # Its holders stay: each of them is one still when another one has written it anew.
    assert (KEYS.holders("openai") in found) is (key != KEYS.holders("openai"))
    assert registered(server) == ["claude"]


@pytest.mark.parametrize("damage", ["deleted", "another type"])
def test_a_lost_list_of_registrations_loses_them_all(server: LuaServer, damage: str) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.delete(KEYS.registrations)
    if damage == "another type":
        server.client.set(KEYS.registrations, "not ours", ex=60)

    reply = check(server, ["openai", "claude"], ["openai", "claude"])

    assert reply == ["checked", "2", "openai", "claude"]
    register(server, "claude", mode="rejoin")
    register(server, "openai", mode="rejoin")
    assert set(registered(server)) == {"openai", "claude"}


def test_a_lost_place_in_the_order_loses_the_registration(server: LuaServer) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.zrem(KEYS.registrations, "openai")

    assert check(server, ["openai", "claude"]) == ["checked", "1", "openai"]


def test_a_registration_that_is_unknown_to_redis_is_lost(server: LuaServer) -> None:
    register(server)

    assert check(server, ["openai", "unknown"]) == ["checked", "1", "unknown"]


def test_a_lost_breaker_is_named_after_the_registrations(server: LuaServer) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude@chat"), Wanted("gemini")])
    server.client.delete(KEYS.breaker("claude"), KEYS.registration("gemini"))

    reply = check(
        server, ["openai", "claude@chat", "gemini"], ["openai", "claude", "gemini", "unknown"]
    )

    assert reply == ["checked", "3", "gemini", "claude", "unknown"]


def test_the_whole_fleet_is_notified_of_what_is_lost(server: LuaServer) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.delete(KEYS.registration("openai"), KEYS.breaker("claude"))

    check(server, ["openai", "claude"], ["openai", "claude"])

    assert server.events()[-1] == {
        "kind": "state_lost",
        "provider": "",
        "actor": "B",
        "reason": "Redis has lost keys, and the processes that know them write them anew",
        "lost": "openai claude",
    }
    assert server.entries()[-1]["revision"] == "3"
    assert server.dump()[KEYS.meta][0]["revision"] == "3"


@pytest.mark.parametrize(
    ("lost", "losses"),
    [
        ([KEYS.holders("openai")], "1"),
        ([KEYS.holders("openai"), KEYS.holders("claude")], "2"),
        ([KEYS.registration("openai"), KEYS.breaker("openai"), KEYS.registrations], None),
    ],
)
def test_losses_of_holders_are_counted_and_no_others(
    server: LuaServer, lost: list[str], losses: str | None
) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.delete(*lost)

    check(server, ["openai", "claude"], ["openai", "claude"])

    assert server.client.hget(KEYS.expiry, "losses") == losses


def test_the_number_of_losses_outlives_the_look_by_the_retention(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.holders("openai"))

    check(server)

    assert abs(server.expiries()[KEYS.expiry] - KEPT) < 1_000


def test_what_is_lost_is_announced_once(server: LuaServer) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.delete(KEYS.registration("openai"))
    version = (str(START), "2")

    assert check(server, ["openai", "claude"], version=version)[:2] == ["checked", "1"]
    assert check(server, ["openai", "claude"], version=version, writes=False) == ["moved"]
    assert check(server, ["claude"]) == ["checked", "0"]
    assert server.kinds().count("state_lost") == 1


@pytest.mark.parametrize("version", [(str(START), "1"), (str(START - 1), "2"), ("", "0")])
def test_nothing_is_looked_at_if_the_version_is_another_one(
    server: LuaServer, version: tuple[str, str]
) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.delete(KEYS.registration("openai"))

    assert check(server, ["openai"], version=version, writes=False) == ["moved"]


def test_what_is_lost_is_written_anew_by_its_holders(server: LuaServer) -> None:
    register(server, "claude")
    for process in "AB":
        register(server, "openai", process, "HIGH")
    server.client.delete(KEYS.registration("openai"))
    check(server, ["openai", "claude"])

    codes = [register(server, "openai", one, "HIGH", mode="rejoin").code for one in "AB"]

    assert codes == ["registered", "joined"]
    assert holders(server) == {"A", "B"}
    assert set(registered(server)) == {"openai", "claude"}


def test_everything_that_is_not_lost_outlives_the_look_by_the_retention(
    server: LuaServer,
) -> None:
    register(server)
    sync(server, "", "0", "cursor", 1, writes=True)
    server.clock.now += 60_000

    check(server, ["openai"], ["openai"])

    expiries = server.expiries()
    for key in (
        KEYS.registrations,
        KEYS.registration("openai"),
        KEYS.holders("openai"),
        KEYS.breaker("openai"),
        KEYS.cursors,
        KEYS.events,
        KEYS.meta,
        KEYS.leases,
    ):
        assert abs(expiries[key] - (KEPT + 60_000)) < 1_000, key


def test_breakers_are_kept_and_one_without_an_expiry_gets_none(server: LuaServer) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.pexpire(KEYS.breaker("openai"), 1_000)
    server.client.pexpire(KEYS.breaker("claude"), 2 * RETENTION)
    register(server, "forced")
    server.client.persist(KEYS.breaker("forced"))

    check(server, [], ["openai", "claude", "forced"])

    expiries = server.expiries()
    assert abs(expiries[KEYS.breaker("openai")] - KEPT) < 1_000
    assert abs(expiries[KEYS.breaker("claude")] - (START + 2 * RETENTION)) < 1_000
    assert expiries[KEYS.breaker("forced")] == -1


def test_an_override_without_an_end_outlives_a_quiet_fleet(server: LuaServer) -> None:
    register(server)
    override(server, "open")

    for _ in range(3):
        server.clock.now += RETENTION // 2
        heartbeat(server, held=1)
        check(server, ["openai"], ["openai"])

    assert server.expiries()[KEYS.breaker("openai")] == -1


def test_holders_without_a_lease_are_named_with_what_they_hold(server: LuaServer) -> None:
    register(server, "openai", "A")
    register(server, "claude", "A")
    register(server, "openai", "C")
    server.client.zrem(KEYS.leases, "A")

    reply = check(server, ["openai", "claude"])

    assert reply == ["checked", "0", "A", "openai", "A", "claude"]


def test_a_holder_whose_lease_is_over_is_left_to_the_sweep(server: LuaServer) -> None:
    register(server)
    server.clock.now += 2 * LEASE

    assert check(server) == ["checked", "0"]


def test_a_look_at_many_holders_takes_a_sample_of_them(server: LuaServer) -> None:
    register(server)
    server.client.sadd(KEYS.holders("openai"), *(f"p{n}" for n in range(20)))
    server.client.srem(KEYS.holders("openai"), "A")

    reply = check(server, sample=5)

    assert len(reply) == 2 + 2 * 5
    assert set(reply[2::2]) < {f"p{n}" for n in range(20)}
    assert set(reply[3::2]) == {"openai"}


@pytest.mark.parametrize("key", [KEYS.leases, KEYS.events, KEYS.cursors])
def test_a_look_needs_no_other_key_to_be_whole(server: LuaServer, key: str) -> None:
    register_all(server, [Wanted("openai"), Wanted("claude")])
    server.client.delete(KEYS.registration("claude"), key)
    server.client.set(key, "not ours", ex=60)
    heartbeat(server, held=2)

    assert check(server, ["openai", "claude"])[:3] == ["checked", "1", "claude"]
