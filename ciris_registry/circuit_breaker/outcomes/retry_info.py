"""How long a provider asks its callers to wait, where its headers do not say it.

From the body: Google's ``RetryInfo``, fields such as ``retry_after``; from the words of the
message; from the ``retry_after`` of the error itself, as Telegram's and Discord's clients have it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from ciris_registry.circuit_breaker.outcomes.retry_after import Wait, seconds_from
from ciris_registry.circuit_breaker.outcomes.safe_access import attribute, item, tried

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST: Final = 1_000
_ENDLESS: Final = 1e12
_FIELDS: Final = {
    "retry_after": 1.0,
    "retryAfter": 1.0,
    "retry_after_seconds": 1.0,
    "retryAfterSeconds": 1.0,
    "retry_after_ms": 0.001,
    "retryAfterMs": 0.001,
    "estimated_time": 1.0,  # of Hugging Face, until a model is loaded
}
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_UNITS: Final = {
    "ms": 0.001,
    "millisecond": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "d": 86_400.0,
    "day": 86_400.0,
}
_UNIT: Final = r"(?:milliseconds?|ms|minutes?|mins?|m|seconds?|secs?|s|hours?|hrs?|h|days?|d)"
_PART: Final = rf"{_NUMBER} ?{_UNIT}(?![a-z])"
# "try again in 7.66s", "retry after 40 seconds", "wait for 1m2s", "will reset after 53m27s"
_WORDS: Final = re.compile(
    r"(?:try(?: this request)? again|retry(?:ing)?|wait|available again|resets?)"
    r"(?: (?:your |the |this )?request)?(?: in| after| for)? (?:about |at least |approximately )?"
    rf"({_NUMBER} ?{_UNIT}(?=[0-9 ,.;:)!]|$)(?:(?: |, ?| and )?{_PART})*"
    rf"|{_NUMBER}(?= ?(?:[.,;:)!]|$)))"
)
_EACH: Final = re.compile(rf"({_NUMBER}) ?({_UNIT})?")


def waits_in(parts: Iterable[object]) -> Iterator[Wait]:
    """The waits in the objects of a body: fields of each, and Google's ``RetryInfo``."""
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        body = cast("Mapping[str, object]", part)
        for name, unit in _FIELDS.items():
            if name in body and (seconds := _seconds(body[name])):
                yield Wait(seconds * unit, name)
        for name in ("retryDelay", "retry_delay"):
            if name in body and (seconds := _duration(body[name])):
                yield Wait(seconds, "RetryInfo")


def waits_of(error: object) -> Iterator[Wait]:
    """The waits that an error has as attributes; also in the ``details`` of google.api_core."""
    if seconds := _seconds(attribute(error, "retry_after")):
        yield Wait(seconds, "retry_after")
    details = attribute(error, "details")
    if isinstance(details, list | tuple):
        for one in cast("list[object]", details)[:20]:
            if seconds := _duration(attribute(one, "retry_delay")):
                yield Wait(seconds, "RetryInfo")


def wait_in_words(message: str) -> Wait | None:
    """The longest wait that a message names; the message is in lower case."""
    if not any(word in message for word in ("again", "retry", "wait", "reset")):
        return None
    seconds = max((_spoken(found[1]) for found in _WORDS.finditer(message[:_LONGEST])), default=0.0)
    return Wait(seconds, "message") if seconds > 0 else None


def _spoken(text: str) -> float:
    return sum(
        float(number) * _UNITS[unit if unit in _UNITS else unit.removesuffix("s")]
        if unit
        else float(number)
        for number, unit in _EACH.findall(text)
    )


def _seconds(value: object) -> float | None:
    """Seconds above 0: of a number, a text or a ``timedelta``."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        return seconds_from(value, 0.0)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _ENDLESS:
        return float(value)
    return None


def _duration(value: object) -> float | None:
    """Seconds of a ``google.protobuf.Duration``: ``"40.5s"``, or an object of two numbers."""
    if value is None or isinstance(value, str):
        return _seconds(value)
    if tried(isinstance, value, Mapping):
        numbers = [item(value, "seconds"), item(value, "nanos")]
    else:
        numbers = [attribute(value, "seconds"), attribute(value, "nanos")]
    seconds, nanos = (tried(float, one or 0) or 0.0 for one in numbers)  # type: ignore[arg-type]
    return _seconds(seconds + nanos / 1e9)
