"""The executor of guarded calls: one attempt after another, until one succeeds.

It decides which pick is next, and uses no provider twice. The attempt limits, classifies and
settles a call. Picker and resolver decide which providers may be called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ciris_registry.calls.attempt import NOT_CALLED, RUNNING, Attempt, end_running
from ciris_registry.calls.failover import Failover
from ciris_registry.errors import ClosedError, NoProviderError
from ciris_registry.selection import explanation_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ciris_registry.calls.attempt_context import AttemptContext
    from ciris_registry.calls.failover import CallRound
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.selection import Pick, Picker, Rejected, Request, Resolver


class CallOptions(NamedTuple):
    """The options of a call.

    ``key`` are the caller's arguments; ``picker`` is the one that was made for them, None if there
    is none yet.
    """

    request: Request
    key: object
    picker: Picker | None
    exact: bool
    failover: bool = True
    classify: Classify | None = None


class Executor:
    """Executes the guarded calls of one process."""

    def __init__(self, resolver: Resolver, context: AttemptContext) -> None:
        self.context = context
        self._resolver = resolver

    def soonest(self, request: Request) -> float:
        """Seconds until a provider may serve, as far as this process knows; 0: now."""
        return self._resolver.soonest(request)

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

        ``position`` is one that the picker of the options has just taken of its round robin.

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
        this_round: CallRound | None = None,
    ) -> Any:  # what fn returned
        """Await ``fn(instance, *args, **kwargs)`` for one provider after the other.

        Raises:
            NoProviderError: No provider could be called.
            NotAwaitableError: ``fn`` returned nothing that can be awaited.
            Exception: The failure of the last provider.
        """
        course: Failover | None = None
        picker = options.picker
        pick = picker.pick() if picker is not None and not options.exact else None
        try:
            while True:
                if pick is None or (pick.slot is None and pick.registration.max_in_flight):
                    course = course or Failover(this_round, allowed=options.failover)
                    pick = await self.after(course, options, pick)
                    if pick is None:
                        break
                attempt = Attempt(self.context, pick, options.classify)
                pending: Any = NOT_CALLED
                token = RUNNING.set(attempt)
                try:
                    with attempt:
                        pending = fn(pick.instance, *args, **kwargs)
                        value = await pending if hasattr(pending, "__await__") else NOT_CALLED
                    RUNNING.reset(token)
                except BaseException as error:
                    end_running(token)
                    failure = attempt.failure(error, called=pending is not NOT_CALLED)
                    if failure is None:
                        raise
                    course = course or Failover(this_round, allowed=options.failover)
                    goes_on = await course.failed(attempt, failure)
                    failure = None
                else:
                    if (course is None or not course.suspects) and attempt.count(value):
                        return value
                    course = course or Failover(this_round, allowed=options.failover)
                    goes_on = await course.returned(attempt, value, pending)
                if not goes_on:
                    break
                pick = None
            return course.result()
        finally:
            # The traceback holds this frame: without this, it would be a reference cycle.
            if course is not None:
                course.clear()

    async def after(
        self, course: Failover, options: CallOptions, drawn: Pick | None = None
    ) -> Pick | None:
        """The next pick; None if there is none, and the call ends as its last attempt did.

        ``drawn`` is a pick that still needs a slot; its position of the round robin is taken.

        Raises:
            NoProviderError: There is none, and none was tried.
        """
        try:
            position = options.picker.position if drawn is not None and options.picker else None
            return await self.next(options, course.tried, position)
        except NoProviderError as none:
            course.exhausted(none)
            if not course.tried:
                raise
        except ClosedError:
            if course.failure is None:
                raise
        return None


LateExecutor = Callable[[], Awaitable[Executor]]
"""Finds the executor of a service type, once the fleet has agreed on its partition."""
