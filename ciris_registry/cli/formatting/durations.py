"""Durations as an operator types and reads them: ``90s``, ``1h30m``, ``3 m 20 s``."""

from __future__ import annotations

import math
import re
from typing import Final

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_FORM: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_LONGEST: Final = 10 * 365 * _UNITS["d"]


def parse_duration(text: str) -> int:
    """Milliseconds in a text such as ``90s``, ``10m``, ``2h``, ``1d`` or ``1h30m``.

    Raises:
        ValueError: It has another form, is zero, or is more than ten years.
    """
    written = text.strip().lower()
    total = 0.0
    if _FORM.fullmatch(written):
        total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(written))
    if not 1 <= total <= _LONGEST:
        raise ValueError(f"{text!r} is not a duration; use 90s, 10m, 2h, 1d or 1h30m")
    return round(total)


def shown_duration(milliseconds: float) -> str:
    """A duration in its two largest units, rounded up to a whole second."""
    seconds = max(0, math.ceil(milliseconds / 1000))
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        length = _UNITS[unit] // 1000
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
