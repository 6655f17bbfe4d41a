"""How long a provider asks its callers to wait, from the headers of its response first of all.

Pure functions of header texts and a time. A value that is unreadable, or not later than now, counts
as absent. ``http_status`` limits the wait, and has the default.
"""

from __future__ import annotations

import email.utils
import math
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SPAN: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|μs|ms|d|h|m|s))+")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|μs|ms|d|h|m|s)")
_FIELD: Final = re.compile(r"([A-Za-z]+)\s*=\s*([0-9.]+)")
_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
# A number of at least 1e9 is a time, not a wait of 31 years. One of at least 1e11 is a time in
# milliseconds: in seconds it would be the year 5138.
_TIMES_FROM: Final = 1e9
_MILLISECONDS_FROM: Final = 1e11


class Wait(NamedTuple):
    """Seconds to wait, more than 0 and finite, and the header or field that gives them."""

    seconds: float
    source: str


def wait_of(
    headers: Mapping[str, str], now: float, *, limited: bool, others: Iterable[Wait] = ()
) -> Wait | None:
    """How long to wait, from headers with names in lower case, and from ``others``, of the body.

    ``now`` is in seconds of the epoch; the response's ``date`` replaces it, so that only the
    provider's clock counts. Of the waits that a provider names, the latest counts:
    ``retry-after-ms`` (OpenAI, Azure), ``retry-after`` (RFC 9110, section 10.2.3), those of the
    body. They take precedence over the reset times of rate limits, at which a budget is full again.
    Of the reset times, the latest one of an empty budget counts. If no budget is empty and the
    provider ``limited`` the caller, the latest of all counts: the budget was too small for this
    request. If it did not, a budget that is known not to be empty has nothing to do with the
    response.
    """
    now = _moment(headers.get("date", "")) or now
    named = [*_named(headers, now), *others]
    return max(named) if named else _reset(headers, now, limited=limited)


def _named(headers: Mapping[str, str], now: float) -> list[Wait]:
    found = [
        Wait(milliseconds / 1000, name)
        for name in ("retry-after-ms", "x-ms-retry-after-ms", "grpc-retry-pushback-ms")
        if (milliseconds := _number(headers.get(name, ""))) and milliseconds / 1000 > 0
    ]
    seconds = seconds_from(headers.get("retry-after", ""), now)
    # Whole seconds are the same wait, rounded, unless they differ by more.
    if seconds is not None and not any(abs(one.seconds - seconds) < 1 for one in found):
        found.append(Wait(seconds, "retry-after"))
    return found


def _reset(headers: Mapping[str, str], now: float, *, limited: bool) -> Wait | None:
    empty: list[Wait] = []
    others: list[Wait] = []
    for left, seconds, name in _resets(headers, now):
        if left == 0:
            empty.append(Wait(seconds, name))
        elif limited or left is None:
            others.append(Wait(seconds, name))
    return max(empty or others, default=None)


def _resets(headers: Mapping[str, str], now: float) -> Iterator[tuple[float | None, float, str]]:
    """What is left of each budget, when it is full again, and the header that says so."""
    for name, text in headers.items():
        left_in = _budget(name)
        seconds = seconds_from(text, now) if left_in else None
        if seconds is not None:
            yield _left(headers.get(left_in, "")), seconds, name
    # The RateLimit fields of the IETF's draft: one in each item, or those of its early versions.
    for text in headers.get("ratelimit", "").split('"'):
        fields = {name.lower(): number for name, number in _FIELD.findall(text)}
        left = fields.get("r", fields.get("remaining", ""))
        seconds = seconds_from(fields.get("t", fields.get("reset", "")), now)
        if seconds is not None:
            yield _left(left), seconds, "ratelimit"


def _budget(name: str) -> str:
    """The header with the rest of the budget whose reset time this is; empty if it is no reset."""
    if "reset" not in name:
        return ""
    parts = name.replace("rate-limit", "ratelimit").split("-")
    if "ratelimit" not in parts or "reset" not in parts:
        return ""
    return "-".join("remaining" if part == "reset" else part for part in name.split("-"))


def _left(text: str) -> float | None:
    """The rest of a budget, 0 if it is overdrawn; None if unreadable."""
    left = _number(text.strip().removeprefix("-"))
    return 0.0 if left is not None and text.strip().startswith("-") else left


def seconds_from(text: str, now: float) -> float | None:
    """Seconds from now: a number, a duration such as ``6m0s``, or a time in any usual form.

    Of a header that was given more than once, as ``40, 40``, the latest counts.
    """
    seconds = _single(text.strip(), now)
    if seconds is None and "," in text:
        several = [_single(one.strip(), now) for one in text.split(",")]
        seconds = max((one for one in several if one is not None), default=None)
    return seconds


def _single(text: str, now: float) -> float | None:
    if not text:
        return None
    seconds = _number(text)
    if seconds is not None and seconds >= _TIMES_FROM:
        seconds = (seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds) - now
    elif seconds is None and _SPAN.fullmatch(text.lower()):
        seconds = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text.lower()))
    elif seconds is None:
        moment = _moment(text)
        seconds = moment and moment - now
    return seconds if seconds is not None and 0 < seconds < math.inf else None


def _number(text: str) -> float | None:
    """A number as HTTP writes it; ``float`` would accept ``nan``, ``1_0`` and other scripts."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> float | None:
    """Seconds of the epoch of an RFC 3339 time or an HTTP date; without a zone it is UTC."""
    if not text:
        return None
    for read in (datetime.fromisoformat, email.utils.parsedate_to_datetime):
        # The exceptions of these parsers differ between versions of Python.
        with suppress(Exception):
            moment = read(text.strip().upper())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
