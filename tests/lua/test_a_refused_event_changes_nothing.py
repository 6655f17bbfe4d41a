"""Without the right to XADD, a script that announces something changes nothing before it.

So the same call, sent again when the right is there, does and announces all of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import redis

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.store.scripts import load_scripts
from tests.lua import registering
from tests.lua.breaker_calls import (
    acquire,
    configure,
    cool_down,
    merge,
    opened,
    override,
    record,
    record_successes,
    reset,
    restore,
    trip_local,
)
from tests.lua.lua_server import KEYS, LUA, START, Clock, LuaServer, RealServer
from tests.lua.registering import LEASE, register
from tests.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAY_CHANGE: Final = (KEYS.callers("openai"),)
"""Times that a repeated call writes again: who calls has to be counted before it is known whether
the breaker opens."""

OTHER: Final = CircuitBreakerConfig(failure_threshold=7)
FEW: Final = CircuitBreakerConfig(minimum_calls=4)


class Announcing(NamedTuple):
    """A script that announces events of these ``kinds``, after a preparation."""

    script: str
    kinds: tuple[str, ...]
    prepare: Callable[[LuaServer], object]
    call: Callable[[LuaServer], object]
    may_change: tuple[str, ...] = MAY_CHANGE


def two_failures(lua: LuaServer) -> None:
    configure(lua, FEW)
    record(lua)
    record(lua)


def probing(lua: LuaServer) -> None:
    opened(lua)
    assert acquire(lua, "A|1")[0] == "permit"


def expired(lua: LuaServer) -> None:
    register(lua)
    lua.clock.now += LEASE


def over(lua: LuaServer) -> None:
    expired(lua)
    assert registering.expire(lua) == ["expired", "openai"]


def suspicious(lua: LuaServer) -> None:
    registering.heartbeat(lua)
    lua.clock.now += LEASE
    registering.heartbeat(lua, "B", outage=True)


def without_record(lua: LuaServer) -> None:
    register(lua)
    lua.client.delete(KEYS.registration("openai"))


def without_holders(lua: LuaServer) -> None:
    register(lua)
    lua.client.delete(KEYS.holders("openai"))


def begin_epoch(lua: LuaServer) -> list[Any]:
    seen = str(lua.client.hget(KEYS.meta, "epoch"))
    return lua.call("epoch_begin", process="A", epoch=seen, revision="1000")


def announce(lua: LuaServer) -> list[Any]:
    return lua.call("restoration_announce", process="A", reason="", breakers="", registrations=1)


REMEMBERED: Final[dict[str, str | int]] = {
    "state": "open",
    "generation": 4,
    "changed_at": START,
    "born": START,
}
NEW_RECORD: Final = (
    KEYS.registrations,
    KEYS.meta,
    KEYS.registration("openai"),
    KEYS.breaker("openai"),
)
"""What a new registration writes before its event, which has to have its order; without a holder
it is as new as before."""

ROWS: Final = (
    Announcing("breaker_acquire", ("breaker_half_opened",), opened, lambda s: acquire(s, "A|1")),
    Announcing(
        "breaker_configure",
        ("breaker_settings_changed",),
        opened,
        lambda s: configure(s, OTHER, explicit=True),
    ),
    Announcing(
        "breaker_cool_down", ("breaker_cooldown_started",), opened, lambda s: cool_down(s, 9)
    ),
    Announcing(
        "breaker_merge_offline",
        ("breaker_opened", "breaker_cooldown_started"),
        configure,
        lambda s: merge(s, failures=5, state="open", cooldown=50),
    ),
    Announcing(
        "breaker_override", ("breaker_forced_open",), probing, lambda s: override(s, "open")
    ),
    Announcing("breaker_record", ("breaker_opened",), probing, lambda s: record(s, permit="A|1")),
    Announcing(
        "breaker_record",
        ("breaker_half_opened", "breaker_opened"),
        opened,
        lambda s: record(s, permit="untracked"),
    ),
    Announcing(
        "breaker_record_successes",
        ("breaker_opened",),
        two_failures,
        lambda s: record_successes(s, ("openai", 2, 0, "")),
    ),
    Announcing(
        "breaker_forget",
        ("breaker_forgotten",),
        probing,
        lambda s: s.call("breaker_forget", "openai", provider="openai", process="A", keep_ms=9),
    ),
    Announcing("breaker_reset", ("breaker_reset",), probing, reset, ()),
    Announcing(
        "breaker_restore", ("breaker_restored",), configure, lambda s: restore(s, REMEMBERED)
    ),
    Announcing(
        "breaker_restore",
        ("breaker_restored",),
        lambda _: None,
        lambda s: restore(s, REMEMBERED, config=OTHER),
        (KEYS.breaker("openai"),),  # a breaker with settings and without a life is still lost
    ),
    Announcing(
        "breaker_trip_local",
        ("breaker_tripped_locally",),
        configure,
        lambda s: trip_local(s, 5_000),
    ),
    Announcing("epoch_begin", ("state_lost",), register, begin_epoch),
    Announcing("lease_end", ("process_expired",), over, registering.end),
    Announcing(
        "leases_expire",
        ("expiry_suspended",),
        suspicious,
        lambda s: registering.leases_expire(s, share=0.1),
    ),
    Announcing("process_heartbeat", ("process_joined",), lambda _: None, registering.heartbeat),
    Announcing("process_leave", ("process_left",), registering.heartbeat, registering.leave),
    Announcing("registration_check", ("state_lost",), without_record, registering.check),
    Announcing("registration_check", ("state_lost",), without_holders, registering.check),
    Announcing("registration_expire", ("provider_expired",), expired, registering.expire),
    Announcing(
        "registration_register",
        ("provider_registered", "process_joined"),
        lambda _: None,
        register,
        NEW_RECORD,
    ),
    Announcing(
        "registration_register",
        ("provider_changed",),
        register,
        lambda s: register(s, priority="HIGH"),
    ),
    Announcing(
        "registration_unregister", ("provider_unregistered",), register, registering.unregister
    ),
    Announcing("restoration_announce", ("state_restored",), register, announce),
)


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    """A server of this file's own, whose user loses a right."""
    with Server() as one:
        yield one


@pytest.fixture
def lua(process: Server, clock: Clock, tmp_path: Path) -> LuaServer:
    server = RealServer(clock, process.url, tmp_path)
    server.begin()
    return server


def announced(lua: LuaServer) -> list[str]:
    """The kinds of all events, in both streams."""
    found: list[Any] = [*lua.client.xrange(KEYS.events), *lua.client.xrange(KEYS.processes)]  # type: ignore[misc] # redis-py types both of its clients at once
    return [fields["kind"] for _, fields in found]


def changed(lua: LuaServer, before: dict[str, Any], may: tuple[str, ...]) -> list[str]:
    """The keys whose content is another one."""
    now = {key: content for key, (content, _) in lua.dump().items()}
    keys = now.keys() | before.keys()
    return sorted(key for key in keys if key not in may and now.get(key) != before.get(key))


@pytest.mark.parametrize("row", ROWS, ids=lambda one: f"{one.script} {one.kinds[0]}")
def test_a_refused_event_leaves_the_data_as_they_were(
    process: Server, lua: LuaServer, row: Announcing
) -> None:
    """Scripts had written before; the call sent again then found nothing left to announce."""
    row.prepare(lua)
    before = {key: content for key, (content, _) in lua.dump().items()}
    known = announced(lua)
    lua.set_clock()

    process.ask("ACL", "SETUSER", "default", "-xadd")
    try:
        with pytest.raises(redis.RedisError, match=r"xadd|can't run this command"):
            row.call(lua)
        assert changed(lua, before, row.may_change) == []
    finally:
        process.ask("ACL", "SETUSER", "default", "+@all")

    row.call(lua)
    now = announced(lua)
    assert sorted(now) == sorted([*known, *row.kinds])


def test_each_script_that_announces_has_a_row() -> None:
    writers = re.compile(r"changes\.(publish|append)\(|processes\.(announce|introduce)\(")
    announcing = {
        name
        for name in load_scripts()
        if writers.search((LUA / f"{name}.lua").read_text(encoding="utf-8"))
    }
    assert {row.script for row in ROWS} == announcing
