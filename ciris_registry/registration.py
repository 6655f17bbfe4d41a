"""Registrations: their fields, the checks of their arguments, and their records in Redis.

A record that was read from Redis may be damaged; it is parsed, and never imported, unpickled or
executed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError, field_validator

from ciris_registry.errors import RegistrationError
from ciris_registry.names import EVERY_HANDLER, GLOBAL, fits, plain

MOST_METADATA: Final = 64 * 1024
"""The largest size of a registration's metadata, and of its capabilities, in bytes of JSON."""

MOST_WEIGHT: Final = 1000
MOST_IN_FLIGHT: Final = 1_000_000

UNWRITTEN: Final = 2.0**52
"""The order of registrations that are not in Redis yet: after all others."""

_GROUPS: Final = 2**31
_E = TypeVar("_E", bound=Enum)


class Priority(Enum):
    """The priority of a provider inside its group; lower values come first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
    FALLBACK = 9


class SelectionStrategy(StrEnum):
    """How a resolve chooses among the providers of one group.

    FALLBACK tries them in order. The others rotate among providers of equal priority: ROUND_ROBIN
    evenly, WEIGHTED by weight, LEAST_LOADED to the one with the fewest calls in flight per weight.
    """

    FALLBACK = "fallback"
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LEAST_LOADED = "least_loaded"


@dataclass(frozen=True, slots=True)
class Registration:
    """One provider, registered for one handler, for every handler (``*``) or globally.

    ``scope`` is the handler, ``*``, or the empty string for a global registration. ``order`` is
    its place in the fleet's order of registration. ``max_in_flight`` is the largest number of
    guarded calls that the whole fleet may run at one time, None if there is no limit.
    ``registered_at`` is in milliseconds of the server's clock.
    """

    service_type: str
    name: str
    scope: str
    priority: Priority = Priority.NORMAL
    priority_group: int = 0
    strategy: SelectionStrategy = SelectionStrategy.FALLBACK
    capabilities: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    weight: int = 1
    max_in_flight: int | None = None
    order: float = 0.0
    registered_by: str = field(default="", compare=False)
    registered_at: int = field(default=0, compare=False)

    @property
    def id(self) -> str:
        """The id of the registration in its service type: ``name`` or ``name@scope``."""
        return self.name if self.scope == GLOBAL else f"{self.name}@{self.scope}"

    def fields(self) -> dict[str, str]:
        """The registration as text fields of a Redis hash."""
        return {
            "name": self.name,
            "handler": self.scope or "global",
            "priority": self.priority.name,
            "priority_group": str(self.priority_group),
            "strategy": self.strategy.value,
            "capabilities": _json("capabilities", list(self.capabilities)),
            "metadata": _json("metadata", self.metadata),
            "weight": str(self.weight),
            "max_in_flight": "" if self.max_in_flight is None else str(self.max_in_flight),
        }


def name_of(registration_id: str) -> str:
    """The provider's name in a registration id."""
    return registration_id.partition("@")[0]


class _Record(BaseModel):
    """A registration record from Redis, untrusted."""

    model_config = ConfigDict(extra="ignore")

    priority: str
    priority_group: int
    strategy: SelectionStrategy
    capabilities: Json[tuple[str, ...]]
    metadata: Json[dict[str, Any]]
    weight: int = Field(default=1, ge=1, le=MOST_WEIGHT)
    max_in_flight: int | None = Field(default=None, ge=1, le=MOST_IN_FLIGHT)
    registered_by: str = ""
    registered_at: int = 0

    @field_validator("max_in_flight", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


def parse_registration(
    service_type: str, registration_id: str, order: float, fields: Mapping[str, str]
) -> Registration:
    """Parse a registration record.

    Raises:
        ValueError: The id or the record is damaged; the message says what is wrong, in one line.
    """
    name, at, scope = registration_id.partition("@")
    if not fits(name) or (at and scope != EVERY_HANDLER and not fits(scope)):
        raise ValueError("its id is not a registration id")
    if not fields:
        raise ValueError("it has no record")
    try:
        record = _Record.model_validate(fields)
        priority = Priority[record.priority]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}") from None
    except KeyError:
        raise ValueError(f"priority: {fields['priority']!r} is not a priority") from None
    return Registration(
        service_type=service_type,
        name=name,
        scope=scope,
        priority=priority,
        order=order,
        **record.model_dump(exclude={"priority"}),
    )


def member_of(kind: type[_E], value: object) -> _E:
    """A member of an enum, given as the member, its name or its value.

    Raises:
        RegistrationError: There is no such member; the message names all members.
    """
    if isinstance(value, kind):
        return value
    for member in kind:
        # Not a set: the value may not be hashable.
        if value in (member.name, member.value) and not isinstance(value, bool):
            return member
    known = ", ".join(member.name for member in kind)
    raise RegistrationError(f"{value!r} is not a {kind.__name__}; use one of {known}")


def checked_group(value: object) -> int:
    """Check a priority group.

    Raises:
        RegistrationError: Not a whole number from -2**31 to 2**31 - 1.
    """
    if type(value) is not int or not -_GROUPS <= value < _GROUPS:
        raise RegistrationError(f"priority_group is {value!r}; use a whole number of 32 bits")
    return value


def checked_weight(value: object) -> int:
    """Check a weight.

    Raises:
        RegistrationError: Not a whole number from 1 to 1000.
    """
    if type(value) is not int or not 1 <= value <= MOST_WEIGHT:
        raise RegistrationError(f"weight is {value!r:.80}; use a whole number from 1 to 1000")
    return value


def checked_max_in_flight(value: object) -> int | None:
    """Check a limit of calls in flight; None is no limit.

    Raises:
        RegistrationError: Not a whole number from 1 to 1,000,000.
    """
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MOST_IN_FLIGHT:
        raise RegistrationError(
            f"max_in_flight is {value!r:.80}; use a whole number from 1 to 1,000,000, or None for "
            f"no limit"
        )
    return value


def checked_capabilities(value: object) -> tuple[str, ...]:
    """Check capabilities: any collection of strings; None is none. Sets are sorted.

    Raises:
        RegistrationError: Not a collection of strings.
    """
    if value is None:
        return ()
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        given = cast("Collection[object]", value)
        listed = [plain(item) for item in given]
        if isinstance(value, AbstractSet):
            listed.sort(key=str)
        names = tuple(item for item in listed if isinstance(item, str))
        if len(names) == len(given):
            _json("capabilities", names)
            return names
    raise RegistrationError(f"capabilities are {value!r:.80}; use a list of strings")


def checked_metadata(value: object) -> dict[str, Any]:
    """Check metadata and copy it through JSON; None is an empty dict.

    Raises:
        RegistrationError: Not a mapping that JSON can represent, or larger than 64 KiB.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RegistrationError(f"metadata is a {type(value).__name__}; use a dict")
    given = dict(cast("Mapping[object, object]", value))
    copied: dict[str, Any] = json.loads(_json("metadata", given))
    return copied


def _json(what: str, value: object) -> str:
    try:
        text = json.dumps(
            value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True
        )
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistrationError(f"{what} cannot be written as JSON: {error}") from None
    if size > MOST_METADATA:
        raise RegistrationError(
            f"{what} has {size} bytes as JSON; the most is {MOST_METADATA} (64 KiB)"
        )
    return text
