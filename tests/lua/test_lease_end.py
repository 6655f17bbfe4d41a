from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lua.lua_server import KEYS, START
from tests.lua.registering import (
    LEASE,
    end,
    expire,
    heartbeat,
    leases,
    register,
    unregister,
)

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer


def test_a_lease_that_is_over_is_removed_with_its_process(server: LuaServer) -> None:
    heartbeat(server)
    heartbeat(server, "C")
    server.clock.now += LEASE

    assert end(server) == ["ended"]

    found = server.dump()
    assert leases(server) == {"C": START + LEASE}
    assert KEYS.process("A") not in found
    entry = server.client.xrange(KEYS.processes)[-1][1]  # type: ignore[index] # redis-py types both of its clients at once
    assert entry == {
        "kind": "process_expired",
        "process": "A",
        "actor": "B",
        "reason": "its lease expired",
    }


def test_a_process_that_has_renewed_its_lease_keeps_it(server: LuaServer) -> None:
    heartbeat(server)
    server.clock.now += LEASE
    heartbeat(server)

    assert end(server, writes=False) == ["alive"]


def test_a_lease_on_which_registrations_hang_stays(server: LuaServer) -> None:
    register(server)
    server.clock.now += LEASE

    assert end(server, writes=False) == ["held"]

    expire(server)
    assert end(server) == ["ended"]
    assert leases(server) == {}


def test_a_repetition_announces_nothing(server: LuaServer) -> None:
    heartbeat(server)
    server.clock.now += LEASE
    end(server)

    assert end(server, sweeper="C", writes=False) == ["ended"]

    kinds = [kind for kind, _ in server.comings_and_goings()]
    assert kinds.count("process_expired") == 1


def test_the_set_of_a_lease_of_another_type_does_not_keep_the_lease(server: LuaServer) -> None:
    register(server)
    unregister(server)
    server.client.set(KEYS.lease("A"), "not ours", ex=60)
    server.clock.now += LEASE

    assert end(server) == ["ended"]

    assert KEYS.lease("A") not in server.dump()


def test_a_stream_of_another_type_does_not_keep_the_lease(server: LuaServer) -> None:
    heartbeat(server)
    server.client.delete(KEYS.processes)
    server.client.set(KEYS.processes, "not ours", ex=60)
    server.clock.now += LEASE

    assert end(server) == ["ended"]

    assert server.comings_and_goings() == [("process_expired", "A")]


def test_the_end_of_a_process_without_registrations_makes_no_event_of_a_service_type(
    server: LuaServer,
) -> None:
    heartbeat(server)
    server.clock.now += LEASE

    end(server)

    assert KEYS.events not in server.dump()


def test_a_process_whose_lease_was_ended_joins_anew(server: LuaServer) -> None:
    heartbeat(server)
    server.clock.now += LEASE
    end(server)

    assert heartbeat(server, held=1)[0] == "rejoin"

    assert [kind for kind, _ in server.comings_and_goings()] == [
        "process_joined",
        "process_expired",
        "process_joined",
    ]
