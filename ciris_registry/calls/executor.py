"""The executor of guarded calls: one attempt after the other until one has served.

Decides which pick is next: never the same provider twice. How an attempt is limited, classified and
settled is the attempt's business; who may be called, the picker's and the resolver's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ciris_registry.calls.attempt import Attempt
from ciris_registry.calls.messages import explain_failure, not_awaitable
from ciris_registry.errors import ClosedError, NoProviderError, NotAwaitableError
from ciris_registry.selection import explanation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ciris_registry.calls.attempt import AttemptContext
    from ciris_registry.circuit_breaker.outcomes import Classification, Classify
    from ciris_registry.selection import Pick, Picker, Rejected, Request, Resolver

_NOTHING: Final = object()
_FAIL_OVER: Final = frozenset({"failure", "cooldown"})
"""Outcomes after which the next provider is called."""


class CallOptions(NamedTuple):
    """What a caller wants called, and how.

    ``key`` are the caller's arguments, by which the ``picker`` is found that was made for them.
    """

    request: Request
    key: object
    picker: Picker | None
    exact: bool
    failover: bool = True
    classify: Classify | None = None

    def fails_over(self, outcome: Classification) -> bool:
        """Whether the next provider is called after an attempt with this outcome."""
        return self.failover and outcome.kind in _FAIL_OVER


class CallResult(NamedTuple):
    """How a call ended.

    ``exhausted``: all providers failed or were unavailable; a later call may succeed.
    """

    value: Any = None
    failure: Exception | None = None
    exhausted: bool = False

    def result(self) -> Any:  # what was called returned it
        """The value, or the failure raised."""
        if self.failure is None:
            return self.value
        failure = self.failure
        try:
            raise failure
        finally:
            # The traceback holds this frame; its contents must not wait for the collector.
            del failure, self


class Executor:
    """Executes the guarded calls of one process."""

    def __init__(self, resolver: Resolver, context: AttemptContext) -> None:
        self.context = context
        self._resolver = resolver

    async def first(self, options: CallOptions) -> Pick:
        """The first provider that may be called.

        Raises:
            NoProviderError: There is none.
        """
        picker = options.picker
        pick = picker.pick() if picker is not None and not options.exact else None
        if pick is None or picker is None:
            return await self.next(options)
        if pick.registration.max_in_flight is not None:
            return await self.next(options, (), picker.position)
        return pick

    async def next(
        self, options: CallOptions, tried: Collection[str] = (), position: int | None = None
    ) -> Pick:
        """The next provider that may be called and was not ``tried``.

        ``position`` is one that the options' picker has just taken of its round robin.

        Raises:
            NoProviderError: There is none.
        """
        if tried and options.picker is not None and not options.exact:
            pick = options.picker.pick_after(tried)
            if pick is not None:
                return pick
        rejected: list[Rejected] = []
        pick = await self._resolver.admit(
            options.request,
            exact=options.exact,
            key=options.key,
            known=options.picker,
            without=tried,
            rejected=rejected,
            position=position,
        )
        if pick is None:
            kind = options.request.service_type
            now = self._resolver.now(kind)
            reasons = [explanation_of(one, now) for one in rejected]
            handlers = self._resolver.registered_for(kind)
            raise NoProviderError(options.request.handler, kind, reasons, handlers)
        return pick

    async def call(
        self,
        options: CallOptions,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> CallResult:
        """Await ``fn(instance, *args, **kwargs)`` for one provider after the other.

        Raises:
            NotAwaitableError: ``fn`` gives nothing that can be awaited.
        """
        tried: dict[str, Exception | None] = {}
        result = CallResult()
        picker = options.picker
        pick = picker.pick() if picker is not None and not options.exact else None
        while True:
            try:
                if pick is None:
                    pick = await self.next(options, tried)
                elif pick.slot is None and pick.registration.max_in_flight is not None:
                    assert picker is not None  # noqa: S101 # it has given the pick
                    pick = await self.next(options, tried, picker.position)
            except NoProviderError as none:
                if result.failure is not None:
                    explain_failure(result.failure, tried, none)
                return result if tried else CallResult(failure=none, exhausted=True)
            except ClosedError:
                if result.failure is None:
                    raise
                return result
            result = await self._attempt(options, pick, fn, args, kwargs)
            if not result.exhausted:
                return result
            tried[pick.registration.name] = result.failure
            pick = None

    async def _attempt(
        self,
        options: CallOptions,
        pick: Pick,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> CallResult:
        """One provider; ``exhausted`` if the next one is to be called."""
        attempt = Attempt(self.context, pick, options.classify)
        pending: Any = _NOTHING
        try:
            with attempt.limit:
                pending = fn(pick.instance, *args, **kwargs)
                value = await pending if hasattr(pending, "__await__") else _NOTHING
        except BaseException as error:
            failure = attempt.failure(error, called=pending is not _NOTHING)
            if failure is None:
                raise
            try:
                exhausted = options.fails_over(await attempt.failed(failure))
                return CallResult(failure=failure, exhausted=exhausted)
            finally:
                del failure  # as in CallResult
        if value is _NOTHING:
            attempt.abandon()
            raise NotAwaitableError(not_awaitable(pending))
        if attempt.limit.expired:  # and the function that was called made a value of it
            await attempt.failed(attempt.late())
            return CallResult(value)
        if attempt.count():
            return CallResult(value)
        return CallResult(value, exhausted=options.fails_over(await attempt.returned(value)))
