"""What an event of the stream changes in the replica of its service type.

Each event says which version it made, so that a gap shows. Reading the stream is the watcher's
work, filling a gap a refresh's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.replica import BreakerReport, MemberChange
from ciris_registry.store import COUNTERS, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ciris_registry.cache.replica import Replica
    from ciris_registry.store import Event, Version

_STATE: Final = frozenset({"state", *COUNTERS})
"""What an event must contain of a breaker."""


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
    made = event.version
    if made is None:
        _apply_membership(replica, event)
        return True  # it changes nothing that a resolve looks at
    version = replica.snapshot.version
    if made[0] != version[0]:
        return False
    ahead = _ahead(made, version)
    if ahead is not None and ahead <= 0:
        return True  # known already
    fields = _breaker_fields(event.breaker)
    if not fields:
        return False
    # Also where changes are missing between: the provider is refused until they are read.
    is_next = ahead == 1
    applied = replica.apply(
        BreakerReport(event.provider, event.at, fields, version=made if is_next else None)
    )
    return applied and is_next


def _apply_membership(replica: Replica, event: Event) -> None:
    registration_id = event.details.get("id", "")
    if event.kind == "member_joined":
        replica.apply(MemberChange(registration_id, event.actor, event.at))
    elif event.kind in {"member_left", "member_expired"}:
        process = event.details.get("process", event.actor)
        replica.apply(MemberChange(registration_id, process, None))


def _ahead(made: Version, known: Version) -> int | None:
    """By how many changes a version is ahead of another one; None if that cannot be read."""
    try:
        return int(made[1]) - int(known[1])
    except ValueError:
        return None


def _breaker_fields(text: str) -> dict[str, str]:
    """A breaker's state as an event contains it; empty if it is missing or incomplete."""
    try:
        fields = dict(paired(json.loads(text) if text else []))
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return fields if fields.keys() >= _STATE else {}
