"""How long a provider asks to be left alone, from the headers of its answer.

Pure functions of header texts and a time. What cannot be read, and what is not later than now,
counts as not given. Nothing is cut to a longest wait here: that is the caller's setting.
"""

from __future__ import annotations

import email.utils
import math
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SPAN: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|μs|ms|d|h|m|s))+")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|μs|ms|d|h|m|s)")
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
# Seconds from now reach the first in 31 years: such a number is a time. In seconds, the second
# is the year 5138: such a time is in milliseconds.
_TIMES_FROM: Final = 1e9
_MILLISECONDS_FROM: Final = 1e11


class Wait(NamedTuple):
    """Seconds to wait, more than 0 and finite, and the header that says so."""

    seconds: float
    header: str


def wait_of(headers: Mapping[str, str], now: float, *, limited: bool) -> Wait | None:
    """How long to wait, from headers with names in lower case; ``now`` is in seconds since 1970.

    ``retry-after-ms`` (OpenAI, Azure) goes before ``retry-after`` (RFC 9110, section 10.2.3), that
    before the reset times of rate limits. Among these, the latest one of the budgets that are said
    to be empty counts. If none is, the latest one of all counts where the provider ``limited`` the
    caller: the budget was too small for this request. Where it did not, one that is said to have
    something left has nothing to do with the answer.

    The answer's own ``date`` goes before ``now``, so that nobody's clock decides but the
    provider's.
    """
    now = _moment(headers.get("date", "")) or now
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _number(headers.get(name, ""))
        if milliseconds is not None and milliseconds / 1000 > 0:
            return Wait(milliseconds / 1000, name)
    seconds = _seconds(headers.get("retry-after", ""), now)
    if seconds is not None:
        return Wait(seconds, "retry-after")
    return _reset(headers, now, limited=limited)


def _reset(headers: Mapping[str, str], now: float, *, limited: bool) -> Wait | None:
    empty: list[Wait] = []
    others: list[Wait] = []
    for name, text in headers.items():
        left_in = _budget(name)
        seconds = _seconds(text, now) if left_in else None
        if seconds is None:
            continue
        left = _left(headers.get(left_in, ""))
        if left == 0:
            empty.append(Wait(seconds, name))
        elif limited or left is None:
            others.append(Wait(seconds, name))
    return max(empty or others, default=None)


def _budget(name: str) -> str:
    """The header that says what is left of the budget whose reset time this is; empty if none."""
    parts = name.replace("rate-limit", "ratelimit").split("-")
    if "ratelimit" not in parts or "reset" not in parts:
        return ""
    return "-".join("remaining" if part == "reset" else part for part in name.split("-"))


def _left(text: str) -> float | None:
    """What is left of a budget; one that is overdrawn is empty."""
    left = _number(text.strip().removeprefix("-"))
    return 0.0 if left is not None and text.strip().startswith("-") else left


def _seconds(text: str, now: float) -> float | None:
    """Seconds from now, of a number, a length such as ``6m0s``, or a time in any usual form."""
    text = text.strip()
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
    """A number as HTTP writes it: float() also reads ``nan``, ``1_0`` and digits of any script."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time or an HTTP date; without a zone it is UTC."""
    for read in (datetime.fromisoformat, email.utils.parsedate_to_datetime):
        # What these parsers raise for odd texts differs from one Python to the next.
        with suppress(Exception):
            time = read(text.strip().upper())
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return None
