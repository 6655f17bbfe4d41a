"""Calls of the registration scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.lua.lua_server import KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lua.lua_server import LuaServer

LEASE: Final = 15_000
RETENTION: Final = 3_600_000


def name_of(registration: str) -> str:
    return registration.partition("@")[0]


def register(
    server: LuaServer,
    registration: str = "openai",
    process: str = "A",
    priority: str = "NORMAL",
    mode: str = "register",
) -> list[Any]:
    record = ["name", name_of(registration), "priority", priority, "metadata", "{}"]
    return server.call(
        "registration_register",
        registration,
        id=registration,
        name=name_of(registration),
        process=process,
        lease_ms=LEASE,
        retention_ms=RETENTION,
        mode=mode,
        record=record,
    )


def unregister(
    server: LuaServer, registration: str = "openai", process: str = "A", *, writes: bool = True
) -> list[Any]:
    return server.call(
        "registration_unregister",
        registration,
        id=registration,
        name=name_of(registration),
        process=process,
        writes=writes,
    )


def renew(
    server: LuaServer,
    ids: Sequence[str] = ("openai",),
    process: str = "A",
    breakers: Sequence[str] = (),
    *,
    outage: bool = False,
    share: float = 0.5,
) -> list[Any]:
    return server.call(
        "registration_renew",
        tail=[*map(KEYS.registration, ids), *map(KEYS.breaker, breakers)],
        process=process,
        lease_ms=LEASE,
        retention_ms=RETENTION,
        outage=int(outage),
        share=str(share),
        ids=ids,
    )


def expire(
    server: LuaServer,
    ids: Sequence[str] = ("openai",),
    share: float = 0.5,
    *,
    writes: bool = True,
) -> list[Any]:
    return server.call(
        "members_expire",
        tail=[KEYS.registration(one) for one in ids],
        process="B",
        lease_ms=LEASE,
        share=str(share),
        ids=ids,
        writes=writes,
    )
