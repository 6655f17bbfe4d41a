"""Calls of the breaker scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.lua_server import KEYS, START, fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lua.lua_server import LuaServer

RETENTION: Final = 3_600_000
CONFIG: Final = CircuitBreakerConfig(failure_threshold=2, recovery_timeout=1.0)


def configure(
    server: LuaServer, config: CircuitBreakerConfig = CONFIG, *, explicit: bool = False
) -> list[Any]:
    settings = {**config.fields(), "retention_ms": str(RETENTION)}
    return server.call(
        "breaker_configure",
        "openai",
        provider="openai",
        process="A",
        mode="explicit" if explicit else "default",
        settings=[part for item in settings.items() for part in item],
    )


def acquire(
    server: LuaServer, permit: str, lease: int = 15_000, *, writes: bool = True
) -> list[Any]:
    return server.call(
        "breaker_acquire",
        "openai",
        provider="openai",
        process=permit.partition("|")[0],
        permit=permit,
        lease_ms=lease,
        writes=writes,
    )


def record(
    server: LuaServer,
    outcome: str = "failure",
    permit: str = "",
    process: str = "A",
    *,
    generation: int | str = "",
    successes: int = 0,
    age: int = 0,
    batch_generation: int | str = "",
    writes: bool = True,
) -> list[Any]:
    return server.call(
        "breaker_record",
        "openai",
        provider="openai",
        process=process,
        outcome=outcome,
        permit=permit,
        generation=generation,
        successes=successes,
        age_ms=age,
        batch_generation=batch_generation,
        writes=writes,
    )


def record_successes(
    server: LuaServer, *counts: tuple[str, int, int, int | str], process: str = "A"
) -> list[str]:
    """Report successes, each as provider, number, age and generation; the code for each."""
    reply = server.call(
        "breaker_record_successes",
        tail=[key for count in counts for key in (KEYS.breaker(count[0]), KEYS.callers(count[0]))],
        process=process,
        counts=[part for count in counts for part in count],
    )
    assert reply[:2] == ["recorded", str(server.clock.now)]
    return [str(code) for code in reply[2:]]


def override(server: LuaServer, to: str, duration: int = 0, *, writes: bool = True) -> list[Any]:
    return server.call(
        "breaker_override",
        "openai",
        provider="openai",
        actor="operator",
        override=to,
        reason="upgrade",
        duration_ms=duration,
        writes=writes,
    )


def reset(server: LuaServer, *, writes: bool = True) -> list[Any]:
    return server.call(
        "breaker_reset", "openai", provider="openai", actor="A", reason="", writes=writes
    )


def cool_down(server: LuaServer, duration: int, *, writes: bool = True) -> list[Any]:
    return server.call(
        "breaker_cool_down",
        "openai",
        provider="openai",
        process="A",
        duration_ms=duration,
        reason="429",
        writes=writes,
    )


def restore(
    server: LuaServer,
    remembered: Mapping[str, str | int],
    seen_at: int = START,
    config: CircuitBreakerConfig | None = None,
    *,
    writes: bool = True,
) -> list[Any]:
    """Restore a state, and with ``config`` the settings."""
    settings: dict[str, str | int] = {}
    if config is not None:
        settings = {**config.fields(), "retention_ms": RETENTION}
    return server.call(
        "breaker_restore",
        "openai",
        provider="openai",
        process="A",
        seen_at=seen_at,
        settings=2 * len(settings),
        remembered=[part for item in (*settings.items(), *remembered.items()) for part in item],
        writes=writes,
    )


def merge(
    server: LuaServer,
    successes: int = 0,
    failures: int = 0,
    *,
    streak: int | None = None,
    generation: int = 0,
    state: str = "closed",
    cooldown: int = 0,
    age: int = 0,
    wait: int = 0,
    process: str = "A",
    writes: bool = True,
) -> list[Any]:
    return server.call(
        "breaker_merge_offline",
        "openai",
        provider="openai",
        process=process,
        generation=generation,
        successes=successes,
        failures=failures,
        streak=failures if streak is None else streak,
        state=state,
        cooldown_ms=cooldown,
        age_ms=age,
        wait_ms=wait,
        writes=writes,
    )


def trip_local(
    server: LuaServer, duration: int, process: str = "A", *, writes: bool = True
) -> list[Any]:
    return server.call(
        "breaker_trip_local",
        "openai",
        provider="openai",
        process=process,
        duration_ms=duration,
        reason="5 failures in a row of its own" if duration else "its probe succeeded",
        writes=writes,
    )


def local_trips(server: LuaServer) -> dict[str, int]:
    """The processes that refuse the provider alone, with the end of each local trip."""
    found: dict[str, int] = server.dump().get(KEYS.local_trips("openai"), ({}, 0))[0]
    return found


def callers(server: LuaServer) -> dict[str, int]:
    """The processes that called and that failed, with the time of the latest call.

    The time of a failure is stored as a negative number.
    """
    found: dict[str, int] = server.dump().get(KEYS.callers("openai"), ({}, 0))[0]
    assert all((at < 0) == member.startswith("failed|") for member, at in found.items())
    return {member: abs(at) for member, at in found.items()}


def opened(server: LuaServer) -> None:
    """Open a breaker and wait until its first probe is due."""
    configure(server)
    assert record(server)[0] == "counted"
    assert record(server)[0] == "opened"
    server.clock.now += 1_000


def state(reply: list[Any]) -> dict[str, str]:
    """The state in the reply of a breaker script."""
    return fields(reply[2 + len(reply) % 2 :])
