"""Running a coroutine up to its first wait at once, as eager tasks of Python 3.12 do.

What it does before that wait is done when this returns, in the caller's task: it must not ask for
the current task, as ``asyncio.timeout`` does.
"""

from __future__ import annotations

from types import coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator


def begun(work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Begin ``work``; what is left of it, for a task of its own.

    Raises:
        BaseException: What ``work`` raised before its first wait.
    """
    try:
        waiting = work.send(None)
    except StopIteration as end:
        return _ended(end.value)
    return _rest(work, waiting)


async def _ended(value: Any) -> Any:
    return value


async def _rest(work: Coroutine[Any, Any, Any], waiting: Any) -> Any:
    return await _resumed(work, waiting)


@coroutine
def _resumed(work: Coroutine[Any, Any, Any], waiting: Any) -> Generator[Any, Any, Any]:
    """Pass on what ``work`` waits for, beginning with ``waiting``, and what comes of it."""
    while True:
        try:
            try:
                came = yield waiting
            except BaseException as error:  # noqa: BLE001 # it is for work to handle
                waiting = work.throw(error)
            else:
                waiting = work.send(came)
        except StopIteration as end:
            return end.value
