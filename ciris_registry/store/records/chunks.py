"""Dividing a call into several: some servers take no more than 3,999 arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST_ARGUMENTS: Final = 3_999
"""The most arguments of one command: the limit of ElastiCache Serverless."""

_ROOM: Final = 40
"""Arguments that a call may have besides those of its items: the command, and what is said once."""

_T = TypeVar("_T")


def chunks(items: Iterable[_T], size: Callable[[_T], int]) -> Iterator[list[_T]]:
    """The items in lists that one call can take; ``size`` is the number of an item's arguments."""
    chunk: list[_T] = []
    left = MOST_ARGUMENTS - _ROOM
    for item in items:
        needed = size(item)
        if chunk and needed > left:
            yield chunk
            chunk, left = [], MOST_ARGUMENTS - _ROOM
        chunk.append(item)
        left -= needed
    if chunk:
        yield chunk
