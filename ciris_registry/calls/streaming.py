"""Guarded streams: they fail over before the first item, and never after it.

An item that the consumer received cannot be taken back. Each wait for an item has its own time
limit; the time of the consumer does not count. The first item settles a probe.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from ciris_registry.calls.attempt import RUNNING, Attempt, end_running
from ciris_registry.calls.executor import Executor
from ciris_registry.calls.failover import Failover
from ciris_registry.calls.messages import not_awaitable
from ciris_registry.errors import NotAwaitableError

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Mapping,
        Sequence,
    )

    from ciris_registry.calls.executor import CallOptions, LateExecutor
    from ciris_registry.selection import Pick

_END: Final = object()
_NOTHING: Final = object()


async def stream(
    executor: Executor | LateExecutor,
    options: CallOptions,
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> AsyncGenerator[Any, None]:  # a program's items
    """The items of ``fn(instance, *args, **kwargs)`` of the first provider that yields one.

    Raises:
        NoProviderError: No provider could be called.
        CallTimeoutError: An item took too long.
        NotAwaitableError: ``fn`` returned no asynchronous iterable.
        Exception: The failure of the provider.
    """
    if not isinstance(executor, Executor):
        executor = await executor()
    pick: Pick | None = await executor.first(options)
    course = Failover(allowed=options.failover)
    try:
        while pick is not None:
            within = min(pick.seconds, pick.breaker.config.first_item_within)
            attempt = Attempt(executor.context, pick._replace(seconds=within), options.classify)
            source, begun = _Source(attempt), False
            try:
                item = await source.first(fn, pick.instance, args, kwargs)
                if source.failure is None:
                    await attempt.answered()
                    await course.served()
                while item is not _END:
                    begun = True
                    yield item
                    item = await source.next()
                if source.failure is None:
                    await attempt.succeeded()
                    return
                goes_on = await course.failed(attempt, source.failure)
            finally:
                try:
                    await source.aclose()
                finally:
                    # If the consumer left: the provider is free only after its stream is closed.
                    course.left(attempt)
            if begun or not goes_on:
                break
            pick = await executor.after(course, options)
        course.result()
    finally:
        # The traceback holds this frame: without this, it would be a reference cycle.
        course.clear()


class _Source:
    """The items of one provider, each within the time limit of a call; ``_END`` after the last.

    ``failure`` is the provider's, if it ended by one.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.failure: Exception | None = None
        self._attempt = attempt
        self._given: Any = _NOTHING
        self._items: AsyncIterator[Any] | None = None

    async def first(
        self,
        fn: Callable[..., Any],
        instance: object,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:  # a program's item
        """Begin the stream and wait for its first item."""

        async def begin() -> Any:  # as above
            given = self._given = fn(instance, *args, **kwargs)
            if hasattr(given, "__await__"):
                given = await given  # some clients send the request first
            if not hasattr(given, "__aiter__"):
                self._attempt.abandon()
                raise NotAwaitableError(not_awaitable(given, streams=True))
            self._given, self._items = given, aiter(given)
            return await _next_item(self._items)

        item = await self._limited(begin())
        if self.failure is None:
            # Only the first item must come before the permit of a probe ends.
            self._attempt.limit_next()
        return item

    async def next(self) -> Any:  # a program's item
        """Wait for the next item."""
        assert self._items is not None  # noqa: S101 # the first one has come
        item = await self._limited(_next_item(self._items))
        if self.failure is None:
            self._attempt.limit_next()
        return item

    async def aclose(self) -> None:
        """Close the iterator and the object it came from, if they can be closed."""
        self.failure = None  # its traceback holds this object
        ending: list[Any] = [self._items]
        if self._given is not self._items:
            ending.append(self._given)
        for one in ending:
            close: Callable[[], object] | None = getattr(one, "aclose", None)
            close = close or getattr(one, "close", None)
            if close is None:
                continue
            self._attempt.limit_next()
            # An error of closing concerns no caller: the consumer has left.
            with contextlib.suppress(Exception), self._attempt:
                closing: Any = close()
                if hasattr(closing, "__await__"):
                    await closing

    async def _limited(self, work: Awaitable[Any]) -> Any:
        attempt = self._attempt
        token = RUNNING.set(attempt)
        try:
            with attempt:
                item = await work
        except BaseException as error:
            self.failure = attempt.failure(error, called=self._given is not _NOTHING)
            if self.failure is None:
                raise
            return _END
        finally:
            end_running(token)
        if attempt.expired:  # and the provider made an item of it
            self.failure = attempt.late()
            return _END
        return item


async def _next_item(items: AsyncIterator[Any]) -> Any:  # a program's item
    """The next item, or ``_END``; ``anext`` with a default crashes CPython 3.11 if this raises."""
    try:
        return await items.__anext__()
    except StopAsyncIteration:
        return _END
