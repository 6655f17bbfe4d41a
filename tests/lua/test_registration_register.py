from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.store.records.decoding import paired
from tests.lua.breaker_calls import override
from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    CONFIG,
    LEASE,
    RETENTION,
    Row,
    Wanted,
    held_by,
    holders,
    leases,
    register,
    register_all,
    registered,
    rows,
    settings_of,
    unregister,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

DAY = 86_400_000
STRICT = CircuitBreakerConfig(failure_threshold=2)


def test_the_first_process_writes_the_record_and_holds_it(server: LuaServer) -> None:
    reply = register_all(server, [Wanted()])

    assert reply[:6] == ["registered", str(START), str(START), "0", "1", "1"]
    assert rows(reply) == [Row("registered", "1")]
    found = server.dump()
    assert found[KEYS.registrations][0] == {"openai": 1}
    assert found[KEYS.registration("openai")][0] == {
        "name": "openai",
        "priority": "NORMAL",
        "metadata": "{}",
        "registered_by": "A",
        "registered_at": str(START),
    }
    assert found[KEYS.meta][0] == {"epoch": str(START), "revision": "1", "registered": "1"}
    assert server.events() == [
        {
            "kind": "provider_registered",
            "provider": "openai",
            "actor": "A",
            "reason": "",
            "id": "openai",
        }
    ]


def test_a_registration_hangs_on_the_lease_of_its_process(server: LuaServer) -> None:
    register(server)

    assert leases(server) == {"A": START + LEASE}
    assert holders(server) == {"A"}
    assert held_by(server, "A") == {"llm": ["openai"]}


def test_a_process_that_registers_is_announced_and_described(server: LuaServer) -> None:
    register(server)
    register(server, "claude")

    found = server.dump()
    assert found[KEYS.process("A")][0] == {
        "host": "here",
        "pid": "42",
        "version": "1.0",
        "started": str(START),
    }
    assert found[KEYS.types][0] == {"llm"}
    assert server.comings_and_goings() == [("process_joined", "A")]


def test_everything_outlives_the_lease_by_the_retention(server: LuaServer) -> None:
    register(server)

    others = {
        KEYS.process("A"): LEASE,
        KEYS.processes: DAY,
        KEYS.breaker("openai"): RETENTION,
    }
    for key, expiry in server.expiries().items():
        assert abs(expiry - (START + others.get(key, LEASE + RETENTION))) < 1_000, key


def test_another_process_joins(server: LuaServer) -> None:
    register(server)
    server.clock.now += 10

    assert register(server, process="B") == Row("joined", "1")

    found = server.dump()
    assert holders(server) == {"A", "B"}
    assert leases(server) == {"A": START + LEASE, "B": START + 10 + LEASE}
    assert found[KEYS.registration("openai")][0]["registered_by"] == "A"
    assert found[KEYS.meta][0]["revision"] == "1"
    assert server.kinds() == ["provider_registered"]
    assert server.comings_and_goings() == [("process_joined", "A"), ("process_joined", "B")]


def test_a_holder_that_registers_again_makes_no_event(server: LuaServer) -> None:
    register(server)
    server.clock.now += 10

    assert register(server) == Row("joined", "1")

    assert leases(server) == {"A": START + 10 + LEASE}
    assert server.kinds() == ["provider_registered"]


def test_registering_does_not_shorten_a_lease(server: LuaServer) -> None:
    register_all(server, [Wanted()], lease=2 * LEASE)

    register(server, "claude")

    assert leases(server) == {"A": START + 2 * LEASE}


def test_the_newest_settings_win_and_the_reply_has_the_old_ones(server: LuaServer) -> None:
    register(server)

    row = register(server, process="B", priority="HIGH")

    assert row._replace(before="") == Row("changed", "1", "0", "", "A", "priority")
    assert json.loads(row.before) == {"priority": "NORMAL"}
    found = server.dump()
    assert found[KEYS.registration("openai")][0]["priority"] == "HIGH"
    assert found[KEYS.registration("openai")][0]["registered_by"] == "B"
    assert found[KEYS.meta][0]["revision"] == "2"
    event = server.events()[1]
    assert json.loads(event.pop("before")) == {"priority": "NORMAL"}
    assert event == {
        "kind": "provider_changed",
        "provider": "openai",
        "actor": "B",
        "reason": "registered with other settings",
        "id": "openai",
        "fields": "priority",
        "before_actor": "A",
    }


def test_several_registrations_are_written_in_one_call(server: LuaServer) -> None:
    register(server, "openai")

    wanted = [Wanted("zeta"), Wanted("openai", "HIGH"), Wanted("alpha@chat"), Wanted("alpha@*")]
    reply = register_all(server, wanted, "B")

    assert reply[:6] == ["registered", str(START), str(START), "1", "5", "2"]
    assert [(row.code, row.order) for row in rows(reply)] == [
        ("registered", "2"),
        ("changed", "1"),
        ("registered", "3"),
        ("registered", "4"),
    ]
    assert server.kinds()[1:] == [
        "provider_registered",
        "provider_changed",
        "provider_registered",
        "provider_registered",
    ]
    assert [entry["revision"] for entry in server.entries()] == ["1", "2", "3", "4", "5"]
    assert held_by(server, "B") == {"llm": ["alpha@*", "alpha@chat", "openai", "zeta"]}


def test_the_lease_of_a_process_is_one_for_all_service_types(server: LuaServer) -> None:
    register(server)
    server.clock.now += 10
    register(server, "store", service_type="memory")

    assert leases(server) == {"A": START + 10 + LEASE}
    assert held_by(server, "A") == {"llm": ["openai"], "memory": ["store"]}
    assert server.dump()[KEYS.types][0] == {"llm", "memory"}


def test_registrations_keep_the_order_in_which_they_were_made(server: LuaServer) -> None:
    for registration in ("zeta", "alpha@chat", "alpha@*"):
        register(server, registration)

    assert server.dump()[KEYS.registrations][0] == {"zeta": 1, "alpha@chat": 2, "alpha@*": 3}


def test_registrations_keep_their_order_after_meta_was_deleted(server: LuaServer) -> None:
    register(server, "openai")
    register(server, "claude")
    server.client.delete(KEYS.meta)
    server.clock.now += 1

    reply = register_all(server, [Wanted("openai")])
    register(server, "gemini")

    assert reply[2:5] == [str(START + 1), "0", "1"]
    assert server.dump()[KEYS.registrations][0] == {"openai": 1, "claude": 2, "gemini": 3}


def test_an_event_says_all_that_followers_need(server: LuaServer) -> None:
    register(server, config=STRICT, chosen=True)
    register(server, "openai@chat", priority="HIGH")

    first, second = server.entries()

    assert (first["order"], second["order"]) == ("1", "2")
    assert (first["epoch"], first["revision"]) == (str(START), "1")
    assert (second["epoch"], second["revision"]) == (str(START), "2")
    found = server.dump()
    assert dict(paired(json.loads(first["record"]))) == found[KEYS.registration("openai")][0]
    assert dict(paired(json.loads(second["record"])))["priority"] == "HIGH"
    for entry in (first, second):  # of the breaker, which both have in common
        assert dict(paired(json.loads(entry["settings"]))) == settings_of(STRICT)
        assert dict(paired(json.loads(entry["breaker"])))["state"] == "closed"


def test_the_event_of_a_change_has_the_new_record(server: LuaServer) -> None:
    register(server)
    register(server, process="B", priority="HIGH")

    assert dict(paired(json.loads(server.entries()[1]["record"])))["priority"] == "HIGH"


def test_a_breaker_that_does_not_exist_is_made_with_the_settings(server: LuaServer) -> None:
    assert register(server, config=STRICT, chosen=True).configure == "0"

    breaker, _ = server.dump()[KEYS.breaker("openai")]
    assert settings_of(STRICT).items() <= breaker.items()
    assert (breaker["state"], breaker["consecutive_failures"]) == ("closed", "0")


@pytest.mark.parametrize(
    ("config", "chosen", "configure"),
    [(CONFIG, True, "1"), (CONFIG, False, "0"), (STRICT, True, "0"), (STRICT, False, "0")],
)
def test_the_reply_says_whether_a_breaker_has_other_settings_than_the_chosen_ones(
    server: LuaServer, config: CircuitBreakerConfig, chosen: bool, configure: str
) -> None:
    register(server, config=STRICT, chosen=True)
    server.client.hset(KEYS.breaker("openai"), "state", "open")
    before = server.dump()[KEYS.breaker("openai")][0]

    row = register(server, "openai@chat", "B", config=config, chosen=chosen)

    assert row == Row("registered", "2", configure)
    assert server.dump()[KEYS.breaker("openai")][0] == before


def test_a_breaker_of_another_type_must_be_configured(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.breaker("openai"))
    server.client.set(KEYS.breaker("openai"), "not a breaker", ex=60)

    assert register(server).configure == "1"


def test_registering_keeps_a_breaker_and_gives_none_an_expiry_that_has_none(
    server: LuaServer,
) -> None:
    register(server, "openai")
    register(server, "forced")
    server.client.pexpire(KEYS.breaker("openai"), 1_000)
    server.client.persist(KEYS.breaker("forced"))

    register(server, "openai", "B")
    register(server, "forced", "B")

    expiries = server.expiries()
    assert abs(expiries[KEYS.breaker("openai")] - (START + LEASE + RETENTION)) < 1_000
    assert expiries[KEYS.breaker("forced")] == -1


def test_an_override_without_an_end_stays_for_good_when_its_provider_is_registered(
    server: LuaServer,
) -> None:
    register(server)
    override(server, "open")

    register(server, process="B")

    assert server.expiries()[KEYS.breaker("openai")] == -1


def test_followers_see_that_a_lost_breaker_was_made_anew(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.breaker("openai"))

    reply = register_all(server, [Wanted()], "B")

    assert [row.code for row in rows(reply)] == ["joined"]
    assert server.dump()[KEYS.meta][0]["revision"] == "2"


def test_a_lost_record_is_written_again(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.registration("openai"))

    assert register(server, process="B").code == "registered"

    assert server.dump()[KEYS.registration("openai")][0]["registered_by"] == "B"


def test_a_record_of_another_type_is_replaced(server: LuaServer) -> None:
    register(server)
    server.client.delete(KEYS.registration("openai"))
    server.client.set(KEYS.registration("openai"), "not a record")

    assert register(server).code == "registered"

    assert server.client.type(KEYS.registration("openai")) == "hash"


def test_a_process_that_rejoins_does_not_overwrite_newer_settings(server: LuaServer) -> None:
    register(server, process="old", priority="LOW")
    register(server, process="new", priority="HIGH")
    server.client.delete(KEYS.lease("old"))
    server.client.srem(KEYS.holders("openai"), "old")
    before = server.dump()

    assert register(server, process="old", priority="LOW", mode="rejoin") == Row("joined", "1")

    found = server.dump()
    assert found[KEYS.registration("openai")][0] == before[KEYS.registration("openai")][0]
    assert found[KEYS.meta][0] == before[KEYS.meta][0]
    assert holders(server) == {"old", "new"}
    assert held_by(server, "old") == {"llm": ["openai"]}
    assert server.kinds() == ["provider_registered", "provider_changed"]


def test_a_process_that_rejoins_lists_an_existing_record_unchanged(server: LuaServer) -> None:
    register(server, process="new", priority="HIGH")
    server.client.delete(KEYS.registrations)

    row = register(server, process="old", priority="LOW", mode="rejoin")

    assert row == Row("registered", "2")
    found = server.dump()
    assert found[KEYS.registration("openai")][0]["priority"] == "HIGH"
    assert found[KEYS.registration("openai")][0]["registered_by"] == "new"
    assert found[KEYS.registrations][0] == {"openai": 2}
    assert found[KEYS.meta][0]["revision"] == "2"


def test_a_process_that_rejoins_writes_a_missing_record(server: LuaServer) -> None:
    assert register(server, priority="LOW", mode="rejoin") == Row("registered", "1")

    assert server.dump()[KEYS.registration("openai")][0]["priority"] == "LOW"


@pytest.mark.parametrize(
    "key",
    [
        KEYS.registrations,
        KEYS.events,
        KEYS.meta,
        KEYS.leases,
        KEYS.lease("A"),
        KEYS.process("A"),
        KEYS.processes,
        KEYS.types,
        KEYS.holders("openai"),
    ],
)
def test_registering_replaces_keys_of_another_type(server: LuaServer, key: str) -> None:
    register(server, "dead", "C")
    register(server, "openai")
    server.client.delete(key)
    server.client.set(key, "not ours", ex=60)

    assert register(server, "openai").code in {"registered", "joined"}
    assert register(server, "claude", "B").code == "registered"

    assert {"A", "B"} <= set(leases(server))
    assert {"openai", "claude"} <= set(registered(server))
    assert (holders(server), held_by(server, "A")) == ({"A"}, {"llm": ["openai"]})
    assert server.dump()[KEYS.meta][0]["epoch"]


def test_a_process_that_registers_after_it_had_left_is_announced_again(server: LuaServer) -> None:
    register(server)
    unregister(server)
    server.client.delete(KEYS.process("A"))

    register(server)

    assert server.comings_and_goings() == [("process_joined", "A")] * 2
