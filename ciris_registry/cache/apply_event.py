"""What an event of the stream changes in the replica of its service type.

Each event says which version it made, so that a gap shows. Reading the stream is the watcher's
work, filling a gap a refresh's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from ciris_registry.cache.replica import (
    BreakerForgotten,
    BreakerReport,
    RegistrationGone,
    RegistrationReport,
)
from ciris_registry.registration import parse_registration
from ciris_registry.store import COUNTERS, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ciris_registry.cache.replica import Replica
    from ciris_registry.store import Event, Version

_STATE: Final = frozenset({"state", *COUNTERS})
"""What an event must contain of a breaker."""

_COMPLETE: Final = frozenset(
    {"provider_registered", "provider_unregistered", "provider_expired", "breaker_forgotten"}
)
"""The events of a registration, or of a whole breaker, that contain all that they change."""


def apply_events(replica: Replica, events: Iterable[Event], flush_now: Callable[[], None]) -> bool:
    """Apply events in their order; False if a refresh has to read what they do not contain.

    On a streak warning, ``flush_now`` reports the successes that this process has batched.
    """
    complete = True
    for event in events:
        replica.place = event.id
        complete = _apply(replica, event, flush_now) and complete
    return complete


def _apply(replica: Replica, event: Event, flush_now: Callable[[], None]) -> bool:
    if event.kind == "breaker_streak_warning":
        if replica.alert(event.provider):
            flush_now()
        return True
    made, version = event.version, replica.snapshot.version
    if made is None:
        return True  # it changes nothing that a resolve looks at
    ahead = _ahead(made, version)
    if made[0] != version[0]:
        return False
    if ahead is not None and ahead <= 0:
        return True  # known already
    if event.kind in _COMPLETE:
        return ahead == 1 and _apply_complete(replica, event, made)
    return _apply_breaker(replica, event, made if ahead == 1 else None)


def _apply_breaker(replica: Replica, event: Event, version: Version | None) -> bool:
    """Apply a breaker's state; False if changes are missing before it, so that ``version`` is None.

    The provider is refused also before these are read.
    """
    fields = _breaker_fields(event.breaker)
    if not fields:
        return False
    applied = replica.apply(BreakerReport(event.provider, event.at, fields, version=version))
    return applied and version is not None


def _apply_complete(replica: Replica, event: Event, version: Version) -> bool:
    """Apply what an event says of a registration or a breaker; False if it cannot be read."""
    if event.kind == "breaker_forgotten":
        return replica.apply(BreakerForgotten(event.provider, version))
    registration_id = event.details.get("id", "")
    if event.kind != "provider_registered":
        return replica.apply(RegistrationGone(registration_id, version))
    try:
        registration = parse_registration(
            event.service_type, registration_id, float(event.order), _pairs(event.record)
        )
        breaker = {**_pairs(event.settings), **_pairs(event.breaker)}
    except (ValueError, TypeError, RecursionError):
        return False
    return replica.apply(RegistrationReport(registration, breaker, version))


def _ahead(made: Version, known: Version) -> int | None:
    """By how many changes a version is ahead of another one; None if that cannot be read."""
    try:
        return int(made[1]) - int(known[1])
    except ValueError:
        return None


def _breaker_fields(text: str) -> dict[str, str]:
    """A breaker's state as an event contains it; empty if it is missing or incomplete."""
    try:
        fields = _pairs(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return fields if fields.keys() >= _STATE else {}


def _pairs(text: str) -> dict[str, str]:
    """A flat JSON list of fields and values.

    Raises:
        ValueError: It is something else.
    """
    flat = json.loads(text)
    if not isinstance(flat, list):
        raise ValueError("not a list")  # noqa: TRY004 # as json.loads does
    return dict(paired(cast("list[str]", flat)))
