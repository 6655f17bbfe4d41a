"""One event as a line: for people, or as JSON for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ciris_registry.shown_text import printable

if TYPE_CHECKING:
    from ciris_registry.events import Event

_COLOURS: Final = {
    "breaker_opened": "red",
    "breaker_half_opened": "yellow",
    "breaker_cooling_down": "yellow",
    "breaker_closed": "green",
    "breaker_forced_open": "magenta",
    "breaker_forced_closed": "magenta",
}
_WIDEST: Final = len("breaker_settings_changed")


def as_json(event: Event) -> str:
    """One JSON object in one line; ``at`` is in milliseconds of the server's clock."""
    return json.dumps(
        {
            "at": event.at,
            "id": event.id,
            "service_type": event.service_type,
            "kind": event.kind,
            "provider": event.provider,
            "by": event.by,
            "reason": event.reason,
            "details": dict(event.details),
        }
    )


def as_line(event: Event) -> tuple[str, str, str, str | None]:
    """What stands before the kind, the kind, what stands behind it, and the kind's colour."""
    words = [f"{event.service_type}/{event.provider}" if event.provider else event.service_type]
    if event.reason:
        words.append(f" {event.reason}")
    words += [f" {name}={text}" for name, text in event.details.items() if _tells(event, name)]
    if event.by:
        words.append(f" by {event.by}")
    kind = printable(event.kind or "?").ljust(_WIDEST)
    return f"{shown_time(event.at)}  ", kind, "  " + printable(" ".join(words)), _COLOURS.get(event.kind)


def shown_time(milliseconds: int) -> str:
    """Local date and time to the millisecond."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    except (OverflowError, ValueError, OSError):  # an entry that somebody wrote by hand
        return str(milliseconds)
    return moment.isoformat(sep=" ", timespec="milliseconds")[:23]


def _tells(event: Event, detail: str) -> bool:
    """Whether this detail says something that the line does not say yet."""
    return not (
        (detail == "id" and event.details[detail] == event.provider)
        or (detail == "until" and event.details[detail] == "0")
    )
