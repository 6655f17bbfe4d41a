from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import LEASE, RETENTION, register, renew

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_the_leases_of_all_registrations_are_renewed(server: LuaServer) -> None:
    register(server, "openai")
    register(server, "claude@chat")
    server.clock.now += 5_000
    now = server.clock.now

    assert renew(server, ["openai", "claude@chat"]) == ["renewed", str(now), str(START), "2", "0"]

    members = server.dump()[KEYS.members][0]
    assert set(members) == {"|A", "openai|A", "claude@chat|A"}
    assert set(members.values()) == {now + LEASE}
    assert server.kinds() == ["provider_registered"] * 2


def test_everything_outlives_the_renewed_lease_by_the_retention(server: LuaServer) -> None:
    register(server)
    server.clock.now += 5_000

    renew(server)

    for expiry in server.expiries().values():
        assert abs(expiry - (server.clock.now + LEASE + RETENTION)) < 1_000


def test_registrations_that_redis_has_lost_are_named(server: LuaServer) -> None:
    for registration in ("whole", "record", "order", "member"):
        register(server, registration)
    server.client.delete(KEYS.registration("record"))
    server.client.zrem(KEYS.registrations, "order")
    server.client.zrem(KEYS.members, "member|A")

    ids = ["whole", "record", "order", "member", "unknown"]
    assert renew(server, ids)[5:] == ["record", "order", "member", "unknown"]

    assert "member|A" not in server.dump()[KEYS.members][0]


def test_an_empty_server_names_every_registration(server: LuaServer) -> None:
    reply = renew(server, ["openai"])

    assert reply == ["renewed", str(START), "", "0", "0", "openai"]
    assert list(server.dump()) == [KEYS.members]


def test_expired_leases_are_counted_and_not_removed(server: LuaServer) -> None:
    register(server, process="B")
    server.clock.now += LEASE

    assert renew(server, [])[4] == "2"

    assert "openai|B" in server.dump()[KEYS.members][0]


def test_after_an_outage_expiries_are_suspicious_for_one_lease(server: LuaServer) -> None:
    register(server)

    renew(server, outage=True)

    assert server.dump()[KEYS.meta][0]["suspect_until"] == str(START + LEASE)


def test_an_empty_server_records_no_suspicious_expiries(server: LuaServer) -> None:
    renew(server, [], outage=True)

    assert KEYS.meta not in server.dump()


def test_breakers_are_kept_as_long_and_one_without_an_expiry_gets_none(server: LuaServer) -> None:
    server.client.hset(KEYS.breaker("openai"), "state", "open")
    server.client.pexpire(KEYS.breaker("openai"), 1_000)
    server.client.hset(KEYS.breaker("forced"), "state", "open")

    renew(server, [], breakers=["openai", "forced", "unknown"])

    expiries = server.expiries()
    assert abs(expiries[KEYS.breaker("openai")] - (START + LEASE + RETENTION)) < 1_000
    assert expiries[KEYS.breaker("forced")] == -1
    assert KEYS.breaker("unknown") not in expiries


def test_a_heartbeat_repairs_keys_of_another_type(
    server: LuaServer,
) -> None:
    register(server, "openai", "A")
    register(server, "claude", "C")
    damaged = (KEYS.registrations, KEYS.members, KEYS.meta, KEYS.registration("openai"))
    for key in damaged:
        server.client.delete(key)
        server.client.set(key, "not ours", ex=60)

    assert renew(server, ["openai"], "A")[5:] == ["openai"]
    register(server, "openai", "A", mode="rejoin")

    found = server.dump()
    assert found[KEYS.registrations][0] == {"openai": 1}
    assert set(found[KEYS.members][0]) == {"|A", "openai|A"}
    assert found[KEYS.registration("openai")][0]["name"] == "openai"
    assert found[KEYS.meta][0]["revision"] == "1"


def test_registrations_keep_their_order_after_meta_was_deleted(
    server: LuaServer,
) -> None:
    register(server, "openai")
    register(server, "claude")
    server.client.delete(KEYS.meta)
    server.clock.now += 1

    assert renew(server, ["openai", "claude"])[2:4] == [str(START + 1), "1"]
    register(server, "gemini")

    assert server.dump()[KEYS.registrations][0] == {"openai": 1, "claude": 2, "gemini": 3}
