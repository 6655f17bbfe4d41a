"""A breaker's window: the calls and failures of its last seconds, in a fixed number of parts.

The same is in ``lua/lib/rules.lua``. It refuses to know what follows from a share of failures, and
to know a clock: it is told the time and the length of the window, in milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKETS: Final = 10
"""The window is counted in this many parts, whatever the traffic."""

Bucket = tuple[int, int, int]
"""The number of a part since the epoch, its calls and its failures."""


def empty() -> list[Bucket]:
    """A window in which nothing was counted."""
    return [(0, 0, 0)] * BUCKETS


def count(
    buckets: list[Bucket], now: int, length: int, calls: int, failures: int
) -> tuple[int, int]:
    """Count so many more now; all calls and failures of the window."""
    current = _part(now, length)
    slot = current % BUCKETS
    at, *known = buckets[slot]
    if at != current:
        known = [0, 0]
    buckets[slot] = (current, known[0] + calls, known[1] + failures)
    return totals(buckets, now, length)


def totals(buckets: Sequence[Bucket], now: int, length: int) -> tuple[int, int]:
    """All calls and failures of the window."""
    current = _part(now, length)
    live = [one for one in buckets if current - BUCKETS < one[0] <= current]
    return sum(one[1] for one in live), sum(one[2] for one in live)


def beginning(now: int, length: int) -> float:
    """The time since when what is counted is in the window."""
    return (_part(now, length) - BUCKETS + 1) * length / BUCKETS


def _part(now: int, length: int) -> int:
    return int(now // (length / BUCKETS))
