"""Time limits with one timer for many blocks, for a small part of the cost of ``asyncio.timeout``.

``asyncio.timeout`` makes a timer for each block, which is half of the cost of a guarded call. Here
one timer serves all blocks of one length. They end in the order in which they began, so the timer
is set for the first of them, and a block that ends in time never touches it.

A block that takes too long ends as with ``asyncio.timeout``: its task is cancelled, and the
cancellation becomes a TimeoutError, unless the task was cancelled from outside too.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class TimeLimits:
    """The time limits of one process, in the event loop that uses them.

    A block whose time is over gets ``last_turns`` more turns of the event loop: the awaited reply
    may have arrived while the loop was blocked.
    """

    def __init__(self, last_turns: int = 0) -> None:
        self._last_turns = last_turns
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watches: dict[float, Watch] = {}

    def limit(self, seconds: float) -> TimeLimit:
        """A limit of ``seconds`` for a ``with`` block in the running task."""
        return TimeLimit(self, seconds)

    def watch(self, seconds: float) -> Watch:
        """The watch over all blocks of one length in the running event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._watches = loop, {}
        watch = self._watches.get(seconds)
        if watch is None:
            watch = self._watches[seconds] = Watch(loop, seconds, self._last_turns, self._watches)
        return watch

    def expire(self) -> None:
        """Expire all blocks, at the next turn of the loop; the caller may be in one of them."""
        if self._loop is not None and not self._loop.is_closed():
            for watch in list(self._watches.values()):
                self._loop.call_soon_threadsafe(watch.expire)


class TimeLimit:
    """The limit of one ``with`` block; ``expired`` says whether the block took too long."""

    __slots__ = ("_cancelling", "_task", "_watch", "ends_at", "expired")
    _cancelling: int
    ends_at: float

    def __init__(self, limits: TimeLimits, seconds: float) -> None:
        self.expired = False
        self._watch = limits.watch(seconds)
        # Weak, so that a limit keeps no task of a closed loop alive.
        self._task: Callable[[], asyncio.Task[object] | None] = _no_task

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit works only in a task")
        self._task = weakref.ref(task)
        self._cancelling = task.cancelling()
        self._watch.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watch.remove(self)
        task = self._task() if self.expired else None
        if task is not None:
            from_outside = task.uncancel() > self._cancelling
            if kind is asyncio.CancelledError and not from_outside:
                raise TimeoutError from error

    @property
    def interrupted(self) -> bool:
        """Whether the task was cancelled from outside, even if the block caught that."""
        task = self._task()
        return task is not None and task.cancelling() > self._cancelling

    def expire(self) -> None:
        """End the block: its time is over."""
        self.expired = True
        task = self._task()
        if task is not None:
            task.cancel()


def _no_task() -> None:
    """The task of a block that was not entered."""


class Watch:
    """The running blocks of one length in one event loop, and the timer of the first of them."""

    __slots__ = ("_blocks", "_last_turns", "_late", "_loop", "_seconds", "_timer", "_watches")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        last_turns: int,
        watches: dict[float, Watch],
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._last_turns = last_turns
        self._watches = watches
        self._blocks: dict[TimeLimit, None] = {}
        self._late: set[TimeLimit] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, block: TimeLimit) -> None:
        """A block begins."""
        block.ends_at = self._loop.time() + self._seconds
        self._blocks[block] = None
        if self._timer is None:
            self._timer = self._loop.call_at(block.ends_at, self._ring)

    def remove(self, block: TimeLimit) -> None:
        """A block has ended in time."""
        if block in self._blocks:
            del self._blocks[block]
        else:
            self._late.discard(block)

    def expire(self) -> None:
        """End all blocks."""
        for block in (*self._blocks, *self._late):
            block.expire()
        self._blocks.clear()
        self._late.clear()

    def _ring(self) -> None:
        # The loop itself calls a timer up to its clock's resolution early.
        now, self._timer = self._loop.time() + 1e-6, None
        while self._blocks:
            first = next(iter(self._blocks))
            if first.ends_at > now:
                self._timer = self._loop.call_at(first.ends_at, self._ring)
                return
            del self._blocks[first]
            self._late.add(first)
            self._overdue(first, self._last_turns)
        # Lengths depend on settings of breakers and on permits, so unused ones are dropped.
        self._watches.pop(self._seconds, None)

    def _overdue(self, block: TimeLimit, turns: int) -> None:
        if block not in self._late:
            return
        if turns:
            self._loop.call_soon(self._overdue, block, turns - 1)
        else:
            self._late.remove(block)
            block.expire()
