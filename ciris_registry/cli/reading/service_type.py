"""Reads one service type as plain data that JSON can hold; it writes nothing.

A breaker outlives its provider, and no key lists breakers. So the names of unregistered providers
are taken from the event stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ciris_registry.circuit_breaker import CircuitBreakerConfig
from ciris_registry.cli.reading.breaker import BreakerStatus
from ciris_registry.errors import CorruptStateError
from ciris_registry.names import EVERY_HANDLER, GLOBAL, fits
from ciris_registry.registration import name_of, parse_registration
from ciris_registry.store import NOTHING, parse_breaker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ciris_registry.registration import Registration
    from ciris_registry.store import Loaded, Store

_EVENTS_LOOKED_AT = 2000
"""More than a stream can hold."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process with a valid lease; ``lease_left`` is in seconds."""

    process: str
    host: str
    pid: int | None
    lease_left: float


@dataclass(frozen=True, slots=True)
class RegistrationStatus:
    """One registration and its live members; ``handler`` is ``global`` for global ones."""

    id: str
    name: str
    handler: str
    priority: str
    priority_group: int
    strategy: str
    capabilities: tuple[str, ...]
    metadata: Mapping[str, Any]
    weight: int
    max_in_flight: int | None
    registered_by: str
    registered_at: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Damage:
    """A record that cannot be read, and what is wrong with it."""

    record: str
    problem: str


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One service type at ``time``, milliseconds of the server's clock."""

    service_type: str
    time: int
    registrations: tuple[RegistrationStatus, ...]
    breakers: tuple[BreakerStatus, ...]
    damaged: tuple[Damage, ...]

    def breaker(self, name: str) -> BreakerStatus | None:
        """The breaker of this provider, if there is one."""
        return next((one for one in self.breakers if one.name == name), None)


async def read_type(store: Store, service_type: str, also: Iterable[str] = ()) -> TypeStatus:
    """One service type; ``also`` names further breakers to look up.

    Raises:
        StoreUnavailableError: Redis cannot be reached.
    """
    damaged: list[Damage] = []
    extra = set(also)
    try:
        events = await store.events.latest(service_type, _EVENTS_LOOKED_AT)
        extra.update(one.provider for one in events if fits(one.provider))
    except CorruptStateError as error:
        damaged.append(Damage("the key events", error.problem))
    try:
        orders, loaded = await _load(store, service_type, extra)
    except CorruptStateError as error:
        damaged.append(Damage("one of the keys registrations and meta", error.problem))
        return TypeStatus(service_type, 0, (), (), tuple(damaged))
    registrations = _registrations(service_type, orders, loaded, damaged)
    open_locally = await _open_locally(store, service_type, loaded)
    breakers = list(_breakers(loaded, open_locally, {name_of(one) for one in orders}, damaged))
    for one in breakers:
        if one.state != "closed" and not one.permits_out:
            await _check_permits(store, service_type, one.name, damaged)
    members = await _members(store, service_type, [one.id for one in registrations], loaded.now)
    return TypeStatus(
        service_type,
        loaded.now,
        tuple([_status_of(one, members.get(one.id, ())) for one in registrations]),
        tuple(breakers),
        tuple(damaged),
    )


async def _load(
    store: Store, service_type: str, extra: set[str]
) -> tuple[Mapping[str, float], Loaded]:
    while True:
        synced = await store.snapshots.sync(service_type, NOTHING, {})
        version, orders = synced.changed or (NOTHING, {})
        names = dict.fromkeys([*map(name_of, orders), *sorted(extra)])
        loaded = await store.snapshots.load(service_type, version, list(orders), list(names))
        if loaded is not None and not loaded.moved:
            return orders, loaded


def _registrations(
    service_type: str, orders: Mapping[str, float], loaded: Loaded, damaged: list[Damage]
) -> list[Registration]:
    """In the order in which a resolve tries them."""
    found: list[Registration] = []
    for one, order in orders.items():
        fields = loaded.records.get(one, {})
        wrong = fields.get("damaged", "") if len(fields) == 1 else ""
        try:
            if not wrong:
                found.append(parse_registration(service_type, one, order, fields))
        except ValueError as error:
            wrong = str(error)
        if wrong:
            damaged.append(Damage(f"registration {one}", wrong))
    return sorted(
        found,
        key=lambda one: (
            (one.scope == EVERY_HANDLER) + 2 * (one.scope == GLOBAL),
            one.scope,
            one.priority_group,
            one.priority.value,
            one.order,
            one.id,
        ),
    )


def _breakers(
    loaded: Loaded,
    open_locally: Mapping[str, Mapping[str, int]],
    registered: set[str],
    damaged: list[Damage],
) -> Iterable[BreakerStatus]:
    for name, fields in loaded.breakers.items():
        if set(fields) == {"damaged"}:
            damaged.append(Damage(f"breaker {name}", fields["damaged"]))
            continue
        breaker, problems = parse_breaker(
            fields, loaded.permits[name], CircuitBreakerConfig(), loaded.callers[name]
        )
        if problems:
            damaged.append(Damage(f"breaker {name}", "; ".join(problems)))
        if fields:
            known = name in registered
            yield BreakerStatus.of(name, breaker, loaded.now, open_locally[name], registered=known)


async def _open_locally(
    store: Store, service_type: str, loaded: Loaded
) -> dict[str, dict[str, int]]:
    """The end of each local trip by breaker and process, without those of dead processes."""
    trips = await store.processes.local_trips(service_type, list(loaded.breakers))
    processes = sorted({process for times in trips.values() for process in times})
    infos = zip(processes, await store.processes.infos(processes), strict=True)
    living = {process for process, info in infos if info}
    return {
        name: {process: until for process, until in times.items() if process in living}
        for name, times in trips.items()
    }


async def _check_permits(store: Store, service_type: str, name: str, damaged: list[Damage]) -> None:
    """Note a set of permits that cannot be read, which otherwise looks empty."""
    try:
        await store.breakers.read(service_type, name)
    except CorruptStateError as error:
        damaged.append(Damage(f"permits {name}", error.problem))


async def _members(
    store: Store, service_type: str, ids: Sequence[str], now: int
) -> dict[str, list[Member]]:
    """The live holders of each registration, ordered by host and pid."""
    holders = await store.registrations.holders(service_type, ids)
    leases = await store.processes.leases() if ids else {}
    processes = sorted({one for held in holders.values() for one in held})
    infos = dict(zip(processes, await store.processes.infos(processes), strict=True))
    return {
        registration_id: sorted(
            (
                _member(one, infos[one], (leases[one] - now) / 1000)
                for one in held
                if leases.get(one, 0) > now
            ),
            key=lambda one: (one.host, one.pid or 0, one.process),
        )
        for registration_id, held in holders.items()
    }


def _member(process: str, info: Mapping[str, str], lease_left: float) -> Member:
    pid = info.get("pid", "")
    return Member(process, info.get("host", ""), int(pid) if pid.isdecimal() else None, lease_left)


def _status_of(registration: Registration, members: Sequence[Member]) -> RegistrationStatus:
    return RegistrationStatus(
        id=registration.id,
        name=registration.name,
        handler=registration.scope or "global",
        priority=registration.priority.name,
        priority_group=registration.priority_group,
        strategy=registration.strategy.value,
        capabilities=registration.capabilities,
        metadata=registration.metadata,
        weight=registration.weight,
        max_in_flight=registration.max_in_flight,
        registered_by=registration.registered_by,
        registered_at=registration.registered_at,
        members=tuple(members),
    )
