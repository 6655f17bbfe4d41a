"""The order of candidates at a position of a round robin: pure functions of numbers.

There is no shared schedule: the order depends on the position alone. So each candidate gets its
share, whichever blocks of positions the processes of a fleet use, and in whichever order.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_T = TypeVar("_T")

_BITS: Final = 64
_MASK: Final = 2**_BITS - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio. The fractional parts of its multiples fill every stretch of
[0, 1) as evenly as those of any number do, over any number of positions (Knuth, The Art of Computer
Programming, vol. 3, section 6.4). In integers, so that large positions lose nothing."""


def rotated(candidates: Sequence[_T], position: int) -> Iterator[_T]:
    """All candidates in the order of a position.

    The second place rotates as well, among the remaining candidates, and so on. So the calls that
    one candidate cannot take are spread evenly over the others.
    """
    remaining = list(candidates)
    while remaining:
        position, index = divmod(position, len(remaining))
        yield remaining.pop(index)


def weighted(candidates: Sequence[_T], weights: Sequence[int], position: int) -> Iterator[_T]:
    """All candidates in the order of a position, each first as often as its weight says.

    The second place is chosen in the same way among the remaining candidates, by the place of the
    position inside the first one's share.
    """
    remaining, shares = list(candidates), list(weights)
    point = (position * _GOLDEN) & _MASK
    while remaining:
        ends = list(accumulate(shares))
        scaled = point * ends[-1]
        index = bisect_right(ends, scaled >> _BITS)
        begin = (ends[index] - shares[index]) << _BITS
        point = (scaled - begin) // shares.pop(index)
        yield remaining.pop(index)


def weighted_first(weights: Sequence[int]) -> Callable[[int], int]:
    """A function from a position to the index of the first candidate of ``weighted``."""
    ends = list(accumulate(weights))
    total = ends[-1]

    def first(position: int) -> int:
        return bisect_right(ends, ((position * _GOLDEN & _MASK) * total) >> _BITS)

    return first


def least_loaded(candidates: Sequence[_T], loads: Sequence[float], position: int) -> Iterator[_T]:
    """All candidates, those with the least load first; equal loads rotate."""
    for load in sorted(set(loads)):
        equals = [one for one, own in zip(candidates, loads, strict=True) if own == load]
        yield from rotated(equals, position)


def least_loaded_first(loads: Sequence[float], position: int) -> int:
    """The index of the first candidate of ``least_loaded``."""
    least = min(loads)
    number = loads.count(least)
    if number == len(loads):
        return position % number
    if number == 1:
        return loads.index(least)
    equals = [index for index, load in enumerate(loads) if load == least]
    return equals[position % number]
