"""Calls of the scripts of registrations, processes and their leases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.store.keys import TypeKeys
from tests.lua.lua_server import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.lua.lua_server import LuaServer

LEASE: Final = 15_000
RETENTION: Final = 3_600_000
INTERVAL: Final = 5_000
"""Milliseconds between two looks of the fleet for lost data."""

SWEEP: Final = 2_000
"""Milliseconds for which one process sweeps alone."""

CONFIG: Final = CircuitBreakerConfig()
MEMORY: Final = TypeKeys("fleet", "memory")
"""The keys of another service type of the same namespace."""

_KEYS: Final = {"llm": KEYS, "memory": MEMORY}


class Wanted(NamedTuple):
    """A registration to write; ``chosen``: a program chose the settings of its breaker."""

    id: str = "openai"
    priority: str = "NORMAL"
    config: CircuitBreakerConfig = CONFIG
    chosen: bool = False


class Row(NamedTuple):
    """What the reply says of one registration."""

    code: str
    order: str
    configure: str = "0"
    before: str = ""
    before_actor: str = ""
    fields: str = ""


def name_of(registration: str) -> str:
    return registration.partition("@")[0]


def settings_of(config: CircuitBreakerConfig) -> dict[str, str]:
    """The settings of a breaker as fields of its hash."""
    return {**config.fields(), "retention_ms": str(RETENTION)}


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for item in fields.items() for part in item]


def register_all(
    server: LuaServer,
    wanted: Iterable[Wanted],
    process: str = "A",
    mode: str = "register",
    *,
    service_type: str = "llm",
    lease: int = LEASE,
) -> list[Any]:
    """Register several at once; the whole reply."""
    keys, hashes, records = _KEYS[service_type], list[str](), list[str | int]()
    for one in wanted:
        name, settings = name_of(one.id), _flat(settings_of(one.config))
        record = ["name", name, "priority", one.priority, "metadata", "{}"]
        hashes += [keys.registration(one.id), keys.holders(one.id), keys.breaker(name)]
        records += [one.id, name, int(one.chosen), len(record), *record, len(settings), *settings]
    return server.call(
        "registration_register",
        process,
        of=keys,
        tail=hashes,
        service_type=service_type,
        holder=process,
        lease_ms=lease,
        retention_ms=RETENTION,
        mode=mode,
        host="here",
        pid=42,
        version="1.0",
        records=records,
    )


def rows(reply: Sequence[str]) -> list[Row]:
    """What the reply to a registering call says of each registration."""
    columns = reply[6:]
    return [Row(*columns[i : i + 6]) for i in range(0, len(columns), 6)]


def register(
    server: LuaServer,
    registration: str = "openai",
    process: str = "A",
    priority: str = "NORMAL",
    mode: str = "register",
    *,
    config: CircuitBreakerConfig = CONFIG,
    chosen: bool = False,
    service_type: str = "llm",
) -> Row:
    """Register one; what the reply says of it."""
    wanted = Wanted(registration, priority, config, chosen)
    (row,) = rows(register_all(server, [wanted], process, mode, service_type=service_type))
    return row


def _of_each(keys: TypeKeys, ids: Iterable[str]) -> dict[str, list[str]]:
    ids = list(ids)
    return {
        "tail": [key for one in ids for key in (keys.registration(one), keys.holders(one))],
        "ids": [part for one in ids for part in (one, name_of(one))],
    }


def unregister(
    server: LuaServer,
    *ids: str,
    process: str = "A",
    service_type: str = "llm",
    writes: bool = True,
) -> list[Any]:
    """End the hold of a process; of ``openai`` if no id is given."""
    keys = _KEYS[service_type]
    of_each = _of_each(keys, ids or ("openai",))
    return server.call(
        "registration_unregister",
        process,
        of=keys,
        tail=of_each["tail"],
        service_type=service_type,
        holder=process,
        ids=of_each["ids"],
        writes=writes,
    )


def heartbeat(
    server: LuaServer,
    process: str = "A",
    held: int = 0,
    *,
    used: Sequence[str] = ("llm",),
    outage: bool = False,
    share: float = 0.5,
    version: str = "1.0",
    losses: str = "",
    partitions: int = 0,
    origin: str = "",
) -> list[Any]:
    """Its reply, without the number of partitions if ``partitions`` is 0."""
    reply = server.call(
        "process_heartbeat",
        process,
        tail=[TypeKeys("fleet", one).meta for one in used],
        holder=process,
        lease_ms=LEASE,
        retention_ms=RETENTION,
        interval_ms=INTERVAL,
        held=held,
        losses=losses,
        outage=int(outage),
        share=str(share),
        host="here",
        pid=42,
        version=version,
        partitions=partitions,
        origin=origin,
        used=used,
    )
    return reply if partitions else [*reply[:5], *reply[7:]]


def leave(server: LuaServer, process: str = "A", *, writes: bool = True) -> list[Any]:
    return server.call("process_leave", process, holder=process, writes=writes)


def leases_expire(
    server: LuaServer,
    sweeper: str = "B",
    share: float = 0.5,
    *,
    most: int = 100,
    writes: bool = True,
) -> list[Any]:
    return server.call(
        "leases_expire",
        sweeper=sweeper,
        lease_ms=LEASE,
        share=str(share),
        sweep_ms=SWEEP,
        most=most,
        writes=writes,
    )


def expire(
    server: LuaServer,
    *ids: str,
    process: str = "A",
    sweeper: str = "B",
    service_type: str = "llm",
    writes: bool = True,
) -> list[Any]:
    """End the hold of a process whose lease is over; on ``openai`` if no id is given."""
    keys = _KEYS[service_type]
    of_each = _of_each(keys, ids or ("openai",))
    return server.call(
        "registration_expire",
        process,
        of=keys,
        tail=of_each["tail"],
        service_type=service_type,
        holder=process,
        sweeper=sweeper,
        ids=of_each["ids"],
        writes=writes,
    )


def end(
    server: LuaServer, process: str = "A", sweeper: str = "B", *, writes: bool = True
) -> list[Any]:
    return server.call("lease_end", process, holder=process, sweeper=sweeper, writes=writes)


def adopt(server: LuaServer, process: str, *held: str) -> list[Any]:
    return server.call("lease_adopt", process, holder=process, lease_ms=LEASE, held=held)


def check(
    server: LuaServer,
    ids: Sequence[str] = ("openai",),
    breakers: Sequence[str] = (),
    version: tuple[str, str] | None = None,
    *,
    sample: int = 100,
    writes: bool = True,
) -> list[Any]:
    """Look for lost keys, at the current version if no other one is given."""
    stored: Any = server.client.hgetall(KEYS.meta) if version is None else {}
    epoch, revision = version or (stored["epoch"], stored["revision"])
    return server.call(
        "registration_check",
        tail=[*_of_each(KEYS, ids)["tail"], *map(KEYS.breaker, breakers)],
        checker="B",
        epoch=epoch,
        revision=revision,
        keep_ms=LEASE + RETENTION,
        lease_ms=LEASE,
        sample=sample,
        ids=len(ids),
        names=[*ids, *breakers],
        writes=writes,
    )


def steps_of_a_sweep(server: LuaServer, sweeper: str = "B", share: float = 0.5) -> Iterator[str]:
    """Remove what has expired, as the registry does; the reply's code after each script."""
    code, *expired = leases_expire(server, sweeper, share)
    yield code
    for process in expired:
        code = ""
        for service_type, ids in held_by(server, process).items():
            code = expire(
                server, *ids, process=process, sweeper=sweeper, service_type=service_type
            )[0]
            yield code
            if code == "alive":
                break
        yield end(server, process, sweeper)[0]


def sweep(server: LuaServer, sweeper: str = "B", share: float = 0.5) -> list[str]:
    """A whole sweep; the codes of its scripts."""
    return list(steps_of_a_sweep(server, sweeper, share))


def held_by(server: LuaServer, process: str) -> dict[str, list[str]]:
    """What hangs on the lease of a process: ids by service type, in alphabetical order."""
    found: dict[str, list[str]] = {}
    for one in sorted(server.dump().get(KEYS.lease(process), (set[str](), 0))[0]):
        service_type, _, registration = one.partition("|")
        found.setdefault(service_type, []).append(registration)
    return found


def leases(server: LuaServer) -> dict[str, int]:
    """The deadline of each lease."""
    found: dict[str, int] = server.dump().get(KEYS.leases, ({}, 0))[0]
    return found


def registered(server: LuaServer) -> list[str]:
    """The ids of all registrations of the service type, in their order."""
    return list(server.dump().get(KEYS.registrations, ({}, 0))[0])


def holders(server: LuaServer, registration: str = "openai") -> set[str]:
    """The processes that hold a registration."""
    found: set[str] = server.dump().get(KEYS.holders(registration), (set(), 0))[0]
    return found
