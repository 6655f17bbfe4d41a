from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import LEASE, expire, register, renew

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_nothing_has_expired(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE - 1

    assert expire(server, writes=False) == ["expired"]


def test_a_registration_goes_with_the_lease_of_its_last_member(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE

    assert expire(server) == ["expired", "openai"]

    found = server.dump()
    assert set(found) == {KEYS.events, KEYS.meta}
    assert found[KEYS.meta][0]["revision"] == "2"
    about = {"provider": "openai", "actor": "B", "id": "openai"}
    assert server.events()[1:] == [
        {"kind": "member_expired", "reason": "its lease expired", "process": "A", **about},
        {"kind": "provider_expired", "reason": "the lease of its last member expired", **about},
    ]


def test_a_registration_with_a_living_member_stays(server: LuaServer) -> None:
    register(server, process="A")
    server.clock.now += 1
    register(server, process="C")
    server.clock.now += LEASE - 1

    assert expire(server) == ["expired"]

    found = server.dump()
    assert set(found[KEYS.members][0]) == {"openai|C", "|C"}
    assert found[KEYS.registrations][0] == {"openai": 1}
    assert found[KEYS.meta][0]["revision"] == "1"
    assert server.kinds()[-1] == "member_expired"


def test_several_members_of_one_registration_expire_at_once(server: LuaServer) -> None:
    for process in "ACD":
        register(server, "openai@*", process)
    server.clock.now += LEASE

    assert expire(server, ["openai@*"]) == ["expired", "openai@*"]

    assert server.kinds()[-4:] == ["member_expired"] * 3 + ["provider_expired"]
    assert server.events()[-1]["provider"] == "openai"


def test_a_registration_that_the_caller_did_not_name_stays_until_it_is_named(
    server: LuaServer,
) -> None:
    register(server, "openai")
    register(server, "claude@chat")
    server.clock.now += LEASE

    assert expire(server, ["openai"]) == ["more", "claude@chat"]
    assert set(server.dump()[KEYS.registrations][0]) == {"claude@chat"}

    assert expire(server, ["openai", "claude@chat"]) == ["expired", "claude@chat"]
    assert KEYS.registrations not in server.dump()


def test_a_call_that_names_no_registration_removes_none(server: LuaServer) -> None:
    register(server)
    server.client.zrem(KEYS.members, "|A")
    server.clock.now += LEASE

    assert expire(server, [], writes=False) == ["more", "openai"]


@pytest.mark.parametrize(
    ("expired", "alive", "code"), [(3, 1, "suspended"), (2, 2, "expired"), (1, 3, "expired")]
)
def test_more_than_half_at_once_after_an_outage_are_kept_for_one_more_lease(
    server: LuaServer, expired: int, alive: int, code: str
) -> None:
    dead = {f"p{n}|A": START for n in range(expired)}
    live = {f"q{n}|C": START + 2 * LEASE for n in range(alive)}
    register(server)
    server.client.delete(KEYS.members, KEYS.registrations)
    server.client.zadd(KEYS.members, {**dead, **live})
    server.client.hset(KEYS.meta, "suspect_until", START + LEASE)
    server.clock.now += 1

    reply = expire(server, [f"p{n}" for n in range(expired)])

    assert reply[0] == code
    if code == "suspended":
        assert reply == ["suspended"]
        assert set(server.dump()[KEYS.members][0]) == {*dead, *live}
        assert server.dump()[KEYS.members][0]["p0|A"] == START + 1 + LEASE
        assert server.events()[-1] == {
            "kind": "expiry_suspended",
            "provider": "",
            "actor": "B",
            "reason": "3 of 4 leases expired while Redis was away",
        }
    else:
        assert set(server.dump()[KEYS.members][0]) == set(live)


def test_a_lease_that_was_kept_once_expires_the_next_time(server: LuaServer) -> None:
    register(server, process="A")
    server.clock.now += LEASE
    renew(server, [], process="B", outage=True)

    assert expire(server) == ["suspended"]
    server.clock.now += LEASE
    assert expire(server) == ["expired", "openai"]


def test_without_an_outage_all_leases_may_expire_at_once(server: LuaServer) -> None:
    register(server)
    renew(server, outage=True)
    server.clock.now += LEASE

    assert expire(server) == ["expired", "openai"]


def test_the_caller_sets_the_share(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE
    renew(server, [], process="C", outage=True, share=1)

    assert expire(server, share=1) == ["expired", "openai"]


def test_the_expiry_of_a_process_without_registrations_makes_no_event(server: LuaServer) -> None:
    renew(server, [], process="A")
    server.clock.now += LEASE

    assert expire(server, []) == ["expired"]

    assert server.dump() == {}


def test_a_lease_that_was_kept_once_expires_despite_repeated_outages_of_another_process(
    server: LuaServer,
) -> None:
    register(server, process="A")
    server.clock.now += LEASE
    renew(server, [], process="slow", outage=True)
    assert expire(server) == ["suspended"]

    for _ in range(3):
        server.clock.now += LEASE // 4
        renew(server, [], process="slow", outage=True)
        assert expire(server, writes=False) == ["expired"]
    server.clock.now += LEASE // 4
    renew(server, [], process="slow", outage=True)

    assert expire(server) == ["expired", "openai"]
    assert server.kinds().count("expiry_suspended") == 1


def test_a_lease_is_kept_again_only_if_it_was_renewed_since(server: LuaServer) -> None:
    register(server, "openai", "A")
    register(server, "claude", "D")
    server.clock.now += LEASE
    renew(server, [], process="B", outage=True)
    assert expire(server, ["openai", "claude"]) == ["suspended"]
    server.clock.now += 1_000
    renew(server, ["claude"], process="D")
    server.clock.now += LEASE
    renew(server, [], process="B", outage=True)

    assert expire(server, ["openai", "claude"]) == ["suspended", "openai"]

    assert set(server.dump()[KEYS.registrations][0]) == {"claude"}


def test_a_minority_that_renews_last_after_an_outage_is_kept_as_well(server: LuaServer) -> None:
    for process in "ACDE":
        register(server, process, process)
    server.clock.now += LEASE
    for process in "ACD":  # each notices only now that Redis was away
        renew(server, [process], process)
        renew(server, [process], process, outage=True)

    assert expire(server, ["E"]) == ["suspended"]

    server.clock.now += LEASE - 1
    assert renew(server, ["E"], "E")[5:] == []


def test_a_lease_that_expires_during_a_suspension_is_kept_no_longer_than_the_suspension(
    server: LuaServer,
) -> None:
    register(server, "openai", "A")
    register(server, "openai", "E")
    server.clock.now += 1_000
    register(server, "claude", "D")
    server.clock.now += LEASE - 1_000
    renew(server, [], process="B", outage=True)
    first = expire(server, ["openai", "claude"])
    server.clock.now += 1_000

    assert [first, expire(server, ["openai", "claude"])] == [["suspended"], ["suspended"]]

    server.clock.now += LEASE - 1_000
    assert expire(server, ["openai", "claude"]) == ["expired", "claude", "openai"]


@pytest.mark.parametrize("lost", ["all", "one"])
def test_a_registration_whose_members_were_deleted_expires_after_one_lease(
    server: LuaServer, lost: str
) -> None:
    register(server, "dead", "A")
    register(server, "openai", "B")
    if lost == "all":
        server.client.delete(KEYS.members)
        assert renew(server, ["openai"], "B")[5:] == ["openai"]
        register(server, "openai", "B", mode="rejoin")
    else:
        server.client.zrem(KEYS.members, "dead|A")
        expire(server)
    server.clock.now += LEASE - 1
    renew(server, ["openai"], "B")
    assert expire(server, ["dead", "openai"], writes=False) == ["expired"]
    server.clock.now += 1

    assert expire(server, ["dead", "openai"]) == ["expired", "dead"]

    assert server.dump()[KEYS.registrations][0] == {"openai": 2}
    assert "orphan" not in str(server.dump())
    assert server.kinds()[-1] == "provider_expired"


def test_a_process_whose_membership_was_deleted_keeps_its_registration(
    server: LuaServer,
) -> None:
    register(server, "openai", "A")
    server.client.delete(KEYS.members)
    renew(server, [], "B")
    server.clock.now += LEASE - 1

    assert expire(server, writes=False) == ["expired"]
    assert renew(server, ["openai"], "A")[5:] == ["openai"]
    assert register(server, "openai", "A", mode="rejoin")[0] == "joined"
    server.clock.now += LEASE - 1
    assert expire(server) == ["expired"]

    assert set(server.dump()[KEYS.registrations][0]) == {"openai"}
