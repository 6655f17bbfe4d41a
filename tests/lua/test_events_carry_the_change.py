"""An event carries its version and the new state, so that followers need not read the data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ciris_registry.store.records.decoding import paired
from tests.lua.breaker_calls import (
    acquire,
    configure,
    cool_down,
    opened,
    override,
    record,
    reset,
    restore,
    state,
    trip_local,
)
from tests.lua.lua_server import KEYS, START

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.lua.lua_server import LuaServer


@pytest.mark.parametrize(
    "change",
    [
        lambda server: acquire(server, "A|1"),
        lambda server: override(server, "open"),
        reset,
        lambda server: cool_down(server, 1_000),
        lambda server: restore(server, {"state": "closed", "changed_at": START + 900}),
    ],
    ids=["half_open", "override", "reset", "cooldown", "restored"],
)
def test_an_event_carries_the_breaker_and_the_next_version(
    server: LuaServer, change: Callable[[LuaServer], list[Any]]
) -> None:
    opened(server)
    before = server.dump()[KEYS.meta][0]

    reply = change(server)

    event = server.entries()[-1]
    assert event["epoch"] == before["epoch"]
    assert int(event["revision"]) == int(before["revision"]) + 1
    assert server.dump()[KEYS.meta][0]["revision"] == event["revision"]
    assert dict(paired(json.loads(event["breaker"]))) == state(reply)


@pytest.mark.parametrize("damaged", [KEYS.events, KEYS.meta], ids=["events", "meta"])
def test_a_damaged_stream_or_meta_does_not_keep_a_breaker_from_opening(
    server: LuaServer, damaged: str
) -> None:
    configure(server)
    server.client.set(damaged, "neither a stream nor a hash")

    record(server)
    reply = record(server)

    assert reply[0] == "opened"
    assert server.entries()[-1]["kind"] == "breaker_opened"
    assert server.entries()[-1]["revision"] == server.dump()[KEYS.meta][0]["revision"]


def test_a_revision_that_is_not_a_number_begins_a_new_epoch(server: LuaServer) -> None:
    configure(server)
    server.client.hset(KEYS.meta, mapping={"epoch": "1", "revision": "many"})

    record(server)
    record(server)

    event = server.entries()[-1]
    assert (event["epoch"], event["revision"]) == (str(START), "1")


def test_a_local_trip_changes_no_version(server: LuaServer) -> None:
    configure(server)
    before = server.dump()[KEYS.meta][0]

    trip_local(server, 1_000)
    trip_local(server, 0)

    assert server.kinds() == ["breaker_tripped_locally", "breaker_recovered_locally"]
    assert server.dump()[KEYS.meta][0] == before
    assert [set(entry) & {"epoch", "revision", "breaker"} for entry in server.entries()] == [
        set()
    ] * 2
