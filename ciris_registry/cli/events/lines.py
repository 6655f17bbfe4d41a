"""One event as a line of text or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import typer

from ciris_registry.cli.formatting import date_and_time, printable, time_of_day

if TYPE_CHECKING:
    from ciris_registry.store import Event

_COLOURS: Final = {
    "breaker_streak_warning": "yellow",
    "breaker_opened": "red",
    "breaker_half_opened": "yellow",
    "breaker_cooldown_started": "yellow",
    "breaker_closed": "green",
    "breaker_tripped_locally": "yellow",
    "breaker_recovered_locally": "green",
    "breaker_forced_open": "magenta",
    "breaker_forced_closed": "magenta",
}
_WIDEST: Final = len("breaker_settings_changed")


def as_json(event: Event) -> str:
    """One JSON object in one line; ``at`` is milliseconds of the server's clock."""
    return json.dumps(
        {
            "at": event.at,
            "id": event.id,
            "service_type": event.service_type,
            "kind": event.kind,
            "provider": event.provider,
            "actor": event.actor,
            "reason": event.reason,
            "details": dict(event.details),
        }
    )


def as_line(event: Event) -> str:
    """Time, kind, provider, reason, details and actor; the kind is coloured."""
    words = [f"{event.service_type}/{event.provider}" if event.provider else event.service_type]
    if not event.service_type:
        words = [event.details.get("process", "")]
    if event.reason:
        words.append(f" {event.reason}")
    words += [f" {name}={_detail(name, text)}" for name, text in _details(event)]
    if event.actor:
        words.append(f" by {event.actor}")
    kind = printable(event.kind or "?").ljust(_WIDEST)
    styled = typer.style(kind, fg=_COLOURS.get(event.kind))
    return f"{date_and_time(event.at)}  {styled}  {printable(' '.join(words))}"


def _details(event: Event) -> list[tuple[str, str]]:
    """The details that the rest of the line does not contain."""
    repeated = {("id", event.provider), ("until", "0"), ("process", event.actor)}
    return [detail for detail in event.details.items() if detail not in repeated]


def _detail(name: str, text: str) -> str:
    return time_of_day(int(text)) if name == "until" and text.isdecimal() else text
