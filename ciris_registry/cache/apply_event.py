"""What an event of the stream means for the mirror of its service type.

Each says which version it made, so that a gap shows. It refuses to read the stream, which the tail
does, and to fill a gap, which a sync does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ciris_registry.store import COUNTERS, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ciris_registry.cache.replica import Replica
    from ciris_registry.store import Event, Version

_STATE: Final = frozenset({"state", *COUNTERS})
"""What an event must tell of a breaker."""


def follow(replica: Replica, events: Iterable[Event], flush_now: Callable[[], None]) -> bool:
    """Take over what the stream tells; False if there is more to it, and a sync must tell.

    A streak of failures may run somewhere: then whoever has counted successes is to ``flush_now``.
    """
    told = True
    for event in events:
        replica.place = event.id
        told = _follows(replica, event, flush_now) and told
    return told


def _follows(replica: Replica, event: Event, flush_now: Callable[[], None]) -> bool:
    if event.kind == "breaker_streak_warning":
        if replica.alert(event.provider):
            flush_now()
        return True
    made = event.version
    if made is None:
        _note_member(replica, event)
        return True  # it changes nothing that a resolve looks at
    version = replica.snapshot.version
    if made[0] != version[0]:
        return False
    ahead = _ahead(made, version)
    if ahead is not None and ahead <= 0:
        return True  # known already
    fields = _told(event.breaker)
    if not fields:
        return False
    # Also where there is more to come: nobody should call a provider until that is read.
    follows = ahead == 1
    taken = replica.take_over(event.provider, event.at, fields, version=made if follows else None)
    return taken and follows


def _note_member(replica: Replica, event: Event) -> None:
    snapshot, registration_id = replica.snapshot, event.details.get("id", "")
    if event.kind == "member_joined":
        replica.snapshot = snapshot.with_member(registration_id, event.actor, event.at)
    elif event.kind in {"member_left", "member_expired"}:
        process = event.details.get("process", event.actor)
        replica.snapshot = snapshot.with_member(registration_id, process, None)


def _ahead(made: Version, known: Version) -> int | None:
    """By how many changes a version is ahead of another one; None if nobody can tell."""
    try:
        return int(made[1]) - int(known[1])
    except ValueError:
        return None


def _told(text: str) -> dict[str, str]:
    """A breaker's state as an event tells it; empty if it tells none, or not all of it."""
    try:
        fields = dict(paired(json.loads(text) if text else []))
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return fields if fields.keys() >= _STATE else {}
