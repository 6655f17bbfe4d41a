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
    priority and order of registration. Who holds them is no business of a resolve.
    """

    service_type: str
    version: Version = NOTHING
    registrations: tuple[Registration, ...] = ()
    breakers: Mapping[str, BreakerState] = field(default_factory=dict[str, "BreakerState"])
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
        breakers: dict[str, BreakerState] = {}
        for name, fields in loaded.breakers.items():
            breakers[name], problems = parse_breaker(
                fields, loaded.permits[name], default, loaded.callers[name]
            )
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
        """The same, with this registration added, or instead of the one with its id."""
        registration_id = registration.id
        others = [one for one in self.registrations if one.id != registration_id]
        insort(others, registration, key=_rank)
        return replace(self, registrations=tuple(others))

    def joined_by(self, registration: Registration) -> Snapshot:
        """As ``with_registration``, in the place that the registration has in the fleet."""
        for known in self.registrations:
            if known.id == registration.id:
                return self.with_registration(replace(registration, order=known.order))
        return self.with_registration(registration)

    def without(self, registration_id: str) -> Snapshot:
        """The same, without this registration."""
        others = tuple(one for one in self.registrations if one.id != registration_id)
        return replace(self, registrations=others)

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
