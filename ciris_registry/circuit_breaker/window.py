"""A breaker's window: the calls and failures of its last seconds, in a fixed number of buckets.

The same as in ``lua/lib/window.lua``. Each function takes the time and the length of the
window, in milliseconds. Which share of failures opens a breaker, ``trip_conditions`` decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKETS: Final = 10
"""The number of buckets of a window, which does not depend on traffic."""

Bucket = tuple[int, int, int]
"""The number of a bucket since the epoch, its calls and its failures."""


def empty() -> list[Bucket]:
    """An empty window."""
    return [(0, 0, 0)] * BUCKETS


def count(
    buckets: list[Bucket], now: int, length: int, calls: int, failures: int
) -> tuple[int, int]:
    """Count calls and failures now; return all calls and failures of the window."""
    current = _number_of_bucket(now, length)
    position = current % BUCKETS
    at, *known = buckets[position]
    if at != current:
        known = [0, 0]
    buckets[position] = (current, known[0] + calls, known[1] + failures)
    return totals(buckets, now, length)


def totals(buckets: Sequence[Bucket], now: int, length: int) -> tuple[int, int]:
    """The calls and failures of the whole window."""
    current = _number_of_bucket(now, length)
    live = [one for one in buckets if current - BUCKETS < one[0] <= current]
    return sum(one[1] for one in live), sum(one[2] for one in live)


def beginning(now: int, length: int) -> float:
    """The time at which the window begins."""
    return (_number_of_bucket(now, length) - BUCKETS + 1) * length / BUCKETS


def _number_of_bucket(now: int, length: int) -> int:
    return int(now // (length / BUCKETS))
