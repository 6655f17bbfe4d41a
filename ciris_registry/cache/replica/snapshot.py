"""A snapshot: an immutable copy of the shared state of one service type.

Every change makes another snapshot.
"""

from __future__ import annotations

import logging
from bisect import insort
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import CircuitState
from ciris_registry.registration import Registration, name_of, parse_registration
from ciris_registry.store import NOTHING, parse_breaker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ciris_registry.circuit_breaker import BreakerState, CircuitBreakerConfig
    from ciris_registry.store import Loaded, Version

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process knows of one service type.

    ``registrations`` stand in the order in which they are considered within one scope: by group,
    priority and order of registration. ``members`` are processes with their lease's deadline, by
    registration id; ``""`` lists the processes that are present at all.
    """

    service_type: str
    version: Version = NOTHING
    registrations: tuple[Registration, ...] = ()
    breakers: Mapping[str, BreakerState] = field(default_factory=dict[str, "BreakerState"])
    members: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, "Mapping[str, int]"])
    damaged: frozenset[str] = frozenset()

    @classmethod
    def from_loaded(  # what was loaded, and how to read it
        cls,
        service_type: str,
        version: Version,
        orders: Mapping[str, float],
        loaded: Loaded,
        default: CircuitBreakerConfig,
        known_damage: frozenset[str] = frozenset(),
    ) -> Snapshot:
        """Read what was loaded; a damaged record is left out and logged once."""
        damaged: dict[str, str] = {}
        registrations: list[Registration] = []
        for registration_id, order in orders.items():
            try:
                fields = loaded.records.get(registration_id, {})
                registrations.append(
                    parse_registration(service_type, registration_id, order, fields)
                )
            except ValueError as error:
                damaged[f"registration {registration_id}"] = str(error)
        members: dict[str, dict[str, int]] = {}
        for member, deadline in loaded.members.items():
            registration_id, _, process = member.rpartition("|")
            members.setdefault(registration_id, {})[process] = deadline
        alive = members.get("", {})
        breakers: dict[str, BreakerState] = {}
        for name, fields in loaded.breakers.items():
            permits = {
                permit: min(deadline, alive.get(permit.rpartition("|")[0], 0))
                for permit, deadline in loaded.permits[name].items()
            }
            breakers[name], problems = parse_breaker(fields, permits, default, loaded.callers[name])
            if problems:
                damaged[f"breaker {name}"] = "; ".join(problems)
        for what, problem in damaged.items():
            if what not in known_damage:
                _log.warning(
                    "%s of service type %s is damaged and left out: %s",
                    what,
                    service_type,
                    problem,
                    extra={"service_type": service_type, "record": what},
                )
        return cls(
            service_type,
            version,
            _sorted(registrations),
            breakers,
            members,
            frozenset(damaged),
        )

    def with_own(self, own: Mapping[str, Registration]) -> Snapshot:
        """The same, with this process's registrations that Redis does not have (yet)."""
        there = {one.id for one in self.registrations}
        missing = [one for one in list(own.values()) if one.id not in there]
        if not missing:
            return self
        return replace(self, registrations=_sorted([*self.registrations, *missing]))

    def with_registration(self, registration: Registration) -> Snapshot:
        """The same, with this registration added, or in the place of its predecessor."""
        registration_id = registration.id
        others = [one for one in self.registrations if one.id != registration_id]
        if len(others) < len(self.registrations):
            [known] = [one for one in self.registrations if one.id == registration_id]
            # Joining takes the place that the registration has in the fleet.
            registration = replace(registration, order=known.order)
        insort(others, registration, key=_rank)
        return replace(self, registrations=tuple(others))

    def without(self, registration_id: str) -> Snapshot:
        """The same, without this registration."""
        others = tuple(one for one in self.registrations if one.id != registration_id)
        return replace(self, registrations=others)

    def left_by(self, process: str, registration_id: str) -> Snapshot:
        """The same after this process has left a registration: that goes, unless others stay."""
        others = set(self.members.get(registration_id, {})) - {process}
        return self if others else self.without(registration_id)

    def with_member(self, registration_id: str, process: str, joined: int | None) -> Snapshot:
        """The same, with a process a member since ``joined``, the server's time; None: it left."""
        members = dict(self.members.get(registration_id, {}))
        if joined is None:
            members.pop(process, None)
        else:
            members[process] = joined
        return replace(self, members={**self.members, registration_id: members})

    def names(self) -> list[str]:
        """The names of the providers, each once."""
        return list(dict.fromkeys(name_of(one.id) for one in self.registrations))

    def not_closed(self, now: int) -> list[str]:
        """The breakers that are not simply closed, with a registration or without."""
        return [
            name
            for name, breaker in self.breakers.items()
            if breaker.state is not CircuitState.CLOSED
            or breaker.cooldown_until > now
            or breaker.is_open_locally(now)
            or breaker.override_in_force(now)
        ]


def _sorted(registrations: Iterable[Registration]) -> tuple[Registration, ...]:
    return tuple(sorted(registrations, key=_rank))


def _rank(one: Registration) -> tuple[int, int, float, str]:
    return one.priority_group, one.priority.value, one.order, one.id
