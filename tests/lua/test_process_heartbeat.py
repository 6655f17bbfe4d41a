from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry.store.keys import process_key, types_key
from tests.lua.lua_server import START
from tests.lua.registering import LEASE, RETENTION

if TYPE_CHECKING:
    from tests.lua.lua_server import LuaServer

PROCESS = process_key("fleet", "A")
TYPES = types_key("fleet")


def renew(server: LuaServer, *used: str, version: str = "1.0") -> list[Any]:
    return server.checked(
        "process_heartbeat",
        {"process": PROCESS, "types": TYPES},
        {
            "lease_ms": LEASE,
            "retention_ms": RETENTION,
            "host": "here",
            "pid": 42,
            "version": version,
            "used": used,
        },
    )


def test_a_heartbeat_writes_the_process_and_its_service_types(server: LuaServer) -> None:
    assert renew(server, "llm", "memory") == ["renewed", str(START)]

    (process, ends), (types, end) = (server.dump()[key] for key in (PROCESS, TYPES))
    assert process == {"host": "here", "pid": "42", "version": "1.0", "started": str(START)}
    assert types == {"llm", "memory"}
    assert abs(ends - (START + LEASE)) < 1_000
    assert abs(end - (START + LEASE + RETENTION)) < 1_000


def test_later_heartbeats_keep_the_start_time(server: LuaServer) -> None:
    renew(server)
    server.clock.now += 1_000

    assert renew(server, version="1.1") == ["renewed", str(START + 1_000)]

    process, ends = server.dump()[PROCESS]
    assert process == {"host": "here", "pid": "42", "version": "1.1", "started": str(START)}
    assert abs(ends - (START + 1_000 + LEASE)) < 1_000


def test_a_process_without_service_types_writes_no_list(server: LuaServer) -> None:
    renew(server)

    assert set(server.dump()) == {PROCESS}
