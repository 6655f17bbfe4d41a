"""Guarded calls: the outcome of the real call decides, and a failing provider costs nothing.

Owns the time of one use and failing over: on to the next candidate, never the same one twice. What
a use means to the breaker, the guard says; who may be called, the resolver.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ciris_registry.calls.attempt import in_words
from ciris_registry.errors import CallTimeoutError, ClosedError, NoProviderError, NotAwaitableError
from ciris_registry.explanation import Explanation
from ciris_registry.timeouts import TimeLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ciris_registry.calls.attempt import Attempt, AttemptContext
    from ciris_registry.circuit_breaker.outcomes import Classification, Classify
    from ciris_registry.selection import Pick, Picker, Rejected, Request, Resolver
    from ciris_registry.timeouts import TimeLimit

_NOTHING: Final = object()
_GOES_ON: Final = frozenset({"failure", "cooldown"})
"""Judgements after which the next candidate is called."""

_IN_VAIN: Final = "called in vain: "

MISTAKES: Final = (TypeError, AttributeError, NameError)
"""What is raised in calling, before there is anything to await, is the program's mistake: it must
not open a provider for the whole fleet."""


class CallOptions(NamedTuple):
    """What a caller wants called, and how.

    ``key`` is what it said, by which the ``picker`` is found that was made for it.
    """

    request: Request
    key: object
    picker: Picker | None
    exact: bool
    failover: bool = True
    classify: Classify | None = None


class CallResult(NamedTuple):
    """How a call has ended; ``exhausted`` says that it might end better once somebody is back."""

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
            # Its traceback holds this frame: what it holds must not wait for the collector.
            del failure, self


class Executor:
    """The guarded calls of one process."""

    def __init__(self, resolver: Resolver, guard: AttemptContext) -> None:
        self._resolver = resolver
        self._guard = guard
        self._limits = TimeLimits()

    def use(self, options: CallOptions, pick: Pick) -> Attempt:
        """A use of a provider that begins now."""
        return self._guard.use(pick, options.classify)

    def limit(self, pick: Pick) -> TimeLimit:
        """How long it may take at the most."""
        return self._limits.limit(pick.seconds)

    async def first(self, options: CallOptions) -> Pick:
        """The first provider that may be called.

        Raises:
            NoProviderError: There is none.
        """
        pick, position = _drawn(options)
        return pick or await self.next(options, (), position)

    async def next(
        self, options: CallOptions, tried: Collection[str], position: int | None = None
    ) -> Pick:
        """The first provider that may be called and has not been ``tried``.

        ``position`` is one that the order's plan has taken of its rotation just now.

        Raises:
            NoProviderError: There is none.
        """
        left: list[Rejected] = []
        pick = await self._resolver.admit(
            options.request,
            exact=options.exact,
            key=options.key,
            known=options.picker,
            without=tried,
            left=left,
            position=position,
        )
        if pick is None:
            kind = options.request.service_type
            now = self._resolver.now(kind)
            reasons = [Explanation.of_rejected(one, now) for one in left]
            served = self._resolver.registered_for(kind)
            raise NoProviderError(options.request.handler, kind, reasons, served)
        return pick

    async def call(
        self,
        options: CallOptions,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> CallResult:
        """Await ``fn(instance, *args, **kwargs)`` for one candidate after the other.

        Raises:
            CallError: ``fn`` is none that can be awaited.
        """
        tried: dict[str, str] = {}
        ended = CallResult()
        pick, position = _drawn(options)
        while True:
            try:
                pick = pick or await self.next(options, tried, position)
            except NoProviderError as nobody:
                if ended.failure is not None:
                    explain(ended.failure, tried, nobody)
                return ended if tried else CallResult(failure=nobody, exhausted=True)
            except ClosedError:
                if ended.failure is None:
                    raise
                return ended
            ended = await self._call(options, pick, fn, args, kwargs)
            if not ended.exhausted:
                return ended
            tried[pick.registration.name] = told(ended.failure)
            pick = position = None

    async def _call(
        self,
        options: CallOptions,
        pick: Pick,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> CallResult:
        """One candidate; ``exhausted`` if the next one is to be called."""
        use = self._guard.use(pick, options.classify)
        limit = self._limits.limit(pick.seconds)
        pending: Any = _NOTHING
        try:
            with limit:
                pending = fn(pick.instance, *args, **kwargs)
                value = await pending if hasattr(pending, "__await__") else _NOTHING
        except Exception as raised:
            # Who is cancelled wants no other answer, whatever the provider makes of it.
            if limit.interrupted or (pending is _NOTHING and isinstance(raised, MISTAKES)):
                use.abandoned()
                raise
            failure = blamed(raised, limit, pick)
            try:
                return CallResult(
                    failure=failure, exhausted=goes_on(options, await use.raised(failure))
                )
            finally:
                del failure  # as in Ended
        except BaseException:
            use.abandoned()
            raise
        if value is _NOTHING:
            use.abandoned()
            raise NotAwaitableError(unusable(pending))
        if limit.expired:  # and whoever was called made an answer of it
            await use.raised(late(pick))
            return CallResult(value)
        if use.counted():
            return CallResult(value)
        return CallResult(value, exhausted=goes_on(options, await use.returned(value)))


def goes_on(options: CallOptions, classification: Classification) -> bool:
    """Whether the next candidate is to be called after a use that was judged so."""
    return options.failover and classification.kind in _GOES_ON


def _drawn(options: CallOptions) -> tuple[Pick | None, int | None]:
    """Whom its plan lets be called; or, if that one has slots, the position that drew it."""
    picker = options.picker
    if picker is None or options.exact:
        return None, None
    pick = picker.take()
    if pick is None or pick.registration.max_in_flight is None:
        return pick, None
    return None, picker.position


def blamed(raised: Exception, limit: TimeLimit, pick: Pick) -> Exception:
    """What a provider is blamed for: that it took too long, or what it raised."""
    if not (isinstance(raised, TimeoutError) and limit.expired):
        return raised
    failure = late(pick)
    failure.__cause__ = raised
    return failure


def late(pick: Pick) -> CallTimeoutError:
    """That a provider took too long."""
    return CallTimeoutError(pick.registration.name, pick.seconds)


def explain(failure: Exception, tried: Mapping[str, str], nobody: NoProviderError) -> None:
    """Say in a failure who was called in vain, and why nobody else was."""
    others = f"; {nobody}" if any(one.name not in tried for one in nobody.reasons) else ""
    called = ", ".join(f"{name} ({problem})" for name, problem in tried.items())
    with contextlib.suppress(Exception):  # a program's exceptions need not allow that
        notes = getattr(failure, "__notes__", [])
        # One that is raised again and again has ours already.
        notes[:] = [note for note in notes if not note.startswith(_IN_VAIN)]
        failure.add_note(f"{_IN_VAIN}{called}{others}")


def told(failure: Exception | None) -> str:
    """What a provider failed with, in a few words."""
    return "its answer" if failure is None else in_words(failure)


def unusable(given: object, *, streams: bool = False) -> str:
    """What to do where what was called gives something that a guarded call cannot use."""
    kind = type(given).__name__
    if streams:
        return f"what was called gave a {kind}, which is no stream; await registry.call(…)"
    if hasattr(given, "__aiter__"):
        return f"what was called gave a stream ({kind}); iterate over registry.stream(…)"
    return (
        f"what was called gave a {kind}, which cannot be awaited; call an async function, or "
        f"asyncio.to_thread with a blocking one"
    )
