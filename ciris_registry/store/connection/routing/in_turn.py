"""Asking several servers the same question, one after the other, without waiting for a slow one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableSequence

    from ciris_registry.store.connection.routing.address import Address

_Answer = TypeVar("_Answer")


async def ask_in_turn(
    servers: Iterable[Address],
    question: Callable[[Address], Awaitable[_Answer]],
    answers: MutableSequence[_Answer],
    *,
    enough: Callable[[_Answer], bool],
    every: float,
) -> list[Exception]:
    """Ask servers until an answer is ``enough``, or all have answered; the failures.

    The next one is asked when one has failed, or after ``every`` seconds. ``answers`` gets each
    answer, also those that come while the others are cancelled: they may hold connections.
    """
    waiting, failures = deque(servers), list[Exception]()
    asking: set[asyncio.Task[_Answer]] = set()

    async def ask(server: Address) -> _Answer:
        return await question(server)

    def take(tasks: Iterable[asyncio.Task[_Answer]]) -> bool:
        satisfied = False
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                failures.append(error)
            elif error is None and not task.cancelled():
                answers.append(task.result())
                satisfied = satisfied or enough(task.result())
        return satisfied

    try:
        while waiting or asking:
            if waiting:
                asking.add(asyncio.create_task(ask(waiting.popleft())))
            done, asking = await asyncio.wait(
                asking, timeout=every if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            if take(done):
                break
    finally:
        for task in asking:
            task.cancel()
        try:
            await asyncio.gather(*asking, return_exceptions=True)
        finally:  # this wait may be cancelled, too
            take([task for task in asking if task.done()])
    return failures
