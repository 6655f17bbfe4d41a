"""Guarded streams: failing over until the first item has come, and never after it.

What was given on cannot be taken back. Time is limited for each wait for an item; while the
consumer has its turn, none runs out. The first item is what a probe was to show.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from ciris_registry.calls.executor import MISTAKES, blamed, explain, goes_on, late, told, unusable
from ciris_registry.errors import ClosedError, NoProviderError, NotAwaitableError

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Mapping,
        Sequence,
    )

    from ciris_registry.calls.executor import CallOptions, Executor
    from ciris_registry.selection import Pick

_END: Final = object()


async def stream(
    calls: Executor,
    options: CallOptions,
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> AsyncGenerator[Any, None]:  # a program's items
    """The items of ``fn(instance, *args, **kwargs)`` of the first candidate that gives one.

    Raises:
        NoProviderError: Nobody could be called.
        CallTimeoutError: An item took too long.
        CallError: ``fn`` gives no stream.
        Exception: What the provider raised.
    """
    tried: dict[str, str] = {}
    pick = await calls.first(options)
    while True:
        use, source, begun = calls.use(options, pick), _Source(calls, pick), False
        try:
            item = await source.first(fn, args, kwargs)
            await use.answered()
            while item is not _END:
                begun = True
                yield item
                item = await source.next()
        except _MistakeError as mistaken:
            use.abandoned()
            raise mistaken.mistake from None
        except _FailedError as failed:
            failure = failed.failure
            classification = await use.raised(failure)
            tried[pick.registration.name] = told(failure)
            if begun or not goes_on(options, classification):
                raise failure from failure.__cause__
        except BaseException:  # also what the consumer throws into it: not the provider's
            use.abandoned()
            raise
        else:
            await use.succeeded()
            return
        finally:
            await source.aclose()
        try:
            pick = await calls.next(options, tried)
        except NoProviderError as nobody:
            explain(failure, tried, nobody)
            raise failure from failure.__cause__
        except ClosedError:
            raise failure from failure.__cause__


class _Source:
    """The items of one provider, each waited for no longer than a call may take."""

    def __init__(self, calls: Executor, pick: Pick) -> None:
        self._calls = calls
        self._admitted = pick
        self._given: object = None
        self._items: AsyncIterator[Any] | None = None

    async def first(
        self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:  # a program's item
        """Begin the stream; its first item, ``_END`` if it has none."""

        async def begin() -> Any:  # as above
            try:
                given = fn(self._admitted.instance, *args, **kwargs)
            except MISTAKES as mistake:
                raise _MistakeError(mistake) from mistake
            if hasattr(given, "__await__"):
                given = await given  # clients do that send the request first
            if not hasattr(given, "__aiter__"):
                raise _MistakeError(NotAwaitableError(unusable(given, streams=True)))
            self._given, self._items = given, aiter(given)
            return await anext(self._items, _END)

        item = await self._limited(begin())
        # A probe has to be over while its permit stands; what follows has as long as any call.
        seconds = self._admitted.shared.config.timeout_duration
        self._admitted = self._admitted._replace(seconds=seconds)
        return item

    async def next(self) -> Any:  # a program's item
        """The next item, ``_END`` if there is none."""
        assert self._items is not None  # noqa: S101 # the first one has come
        return await self._limited(anext(self._items, _END))

    async def aclose(self) -> None:
        """End it, and what it was made of, if they can be ended."""
        ending: list[Any] = [self._items]
        if self._given is not self._items:
            ending.append(self._given)
        for one in ending:
            # Whatever a provider does when nobody listens any more is nobody's business.
            with contextlib.suppress(Exception), self._calls.limit(self._admitted):
                close: Callable[[], Awaitable[object]] | None = getattr(one, "aclose", None)
                if close is not None:
                    await close()

    async def _limited(self, work: Awaitable[Any]) -> Any:
        limit = self._calls.limit(self._admitted)
        try:
            with limit:
                item = await work
        except _MistakeError:
            raise
        except Exception as raised:
            if limit.interrupted:
                raise _MistakeError(raised) from raised
            raise _FailedError(blamed(raised, limit, self._admitted)) from raised
        if limit.expired:  # and whoever was asked made an item of it
            raise _FailedError(late(self._admitted))
        return item


class _FailedError(Exception):
    """The provider has failed, and nobody else."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(failure)
        self.failure = failure


class _MistakeError(Exception):
    """What is not the provider's: a call that cannot be made, or what a cancellation became."""

    def __init__(self, mistake: Exception) -> None:
        super().__init__(mistake)
        self.mistake = mistake
