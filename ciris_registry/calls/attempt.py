"""One attempt: a call of one provider, limited in time, classified by its outcome, settled once.

``call``, ``stream`` and ``acquire`` all make attempts, so time limit, classification and settlement
are the same for each. An attempt chooses no provider and repeats nothing. A failed report of its
outcome never replaces the result of the call.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from ciris_registry.calls.awaits import may_have_awaited
from ciris_registry.calls.messages import log_mistake, not_awaitable
from ciris_registry.circuit_breaker.outcomes import (
    FAILURE,
    IGNORED,
    PROGRAMMING_ERROR,
    PROGRAMMING_ERRORS,
    SUCCESS,
    all_wrapped,
)
from ciris_registry.errors import (
    CallCancelledError,
    CallTimeoutError,
    NotAwaitableError,
    RegistryError,
)
from ciris_registry.shared_breaker import in_words
from ciris_registry.timeouts import TimeLimit

if TYPE_CHECKING:
    from contextvars import Token

    from ciris_registry.calls.attempt_context import AttemptContext
    from ciris_registry.circuit_breaker.outcomes import Classification, Classify
    from ciris_registry.selection import Pick

_log = logging.getLogger(__name__)

_MOST_INNER: Final = 15

NOT_CALLED: Final = object()
"""In place of a value: nothing was awaited."""

RUNNING: Final[ContextVar[Attempt | None]] = ContextVar("the attempt that runs", default=None)
"""Set while a function runs: by it, an attempt inside of an attempt knows the outer one."""


def end_running(token: Token[Attempt | None]) -> None:
    """The function of an attempt has ended, maybe outside of the context in which it began.

    A coroutine that is collected after its event loop has ended runs in another context.
    """
    with suppress(ValueError):
        RUNNING.reset(token)


class Attempt(TimeLimit):
    """One attempt; ``with attempt:`` limits the time of what the block awaits.

    An attempt is in flight from its creation until the first of ``count``, ``succeeded``,
    ``returned``, ``failed`` and ``abandon``, which settles it. Later ones change nothing.
    """

    __slots__ = (
        "_answered",
        "_classify",
        "_context",
        "_inner",
        "_pick",
        "_settled",
    )
    _inner: list[Exception]  # set by the first error inside

    def __init__(self, context: AttemptContext, pick: Pick, classify: Classify | None) -> None:
        super().__init__(context.limits, pick.seconds)
        self._context = context
        self._pick = pick
        self._classify = classify
        self._settled = self._answered = False
        pick.breaker.in_flight += 1

    @property
    def provider(self) -> tuple[str, str]:
        """The service type and the name of the provider."""
        return self._pick.breaker.key

    # Errors: the provider's or not

    def failure(self, error: BaseException, *, called: bool = True) -> Exception | None:
        """The failure of the provider; None if the error is not the provider's.

        In that case the attempt is abandoned: the caller was cancelled, or the program raised a
        programming error before there was anything to await (``called`` is False).
        """
        if self._settled:
            return None
        if isinstance(error, asyncio.CancelledError) and not self.interrupted:
            cancelled = CallCancelledError(self._pick.registration.name)
            cancelled.__cause__ = error
            return cancelled
        if (
            not isinstance(error, Exception)
            # The caller was cancelled, even if the provider replaced the cancellation by an error.
            or self.interrupted
            or (not called and isinstance(error, PROGRAMMING_ERRORS))
        ):
            self.abandon()
            return None
        if not (isinstance(error, TimeoutError) and self.expired):
            return error
        late = self.late()
        late.__cause__ = error
        return late

    def late(self) -> CallTimeoutError:
        """The error of a provider that took too long."""
        return CallTimeoutError(self._pick.registration.name, self._pick.seconds)

    # While it runs

    async def answered(self) -> None:
        """The provider has answered, which settles a probe; the attempt goes on."""
        pick = self._pick
        if pick.permit is not None:
            self._pick, self._answered = pick._replace(permit=None, generation=None), True
            await self._context.settle(pick._replace(slot=None), SUCCESS)

    def limit_next(self) -> None:
        """Begin a new time limit of ``timeout_duration`` for what is awaited next."""
        seconds = self._pick.breaker.config.timeout_duration
        if seconds != self._pick.seconds:
            self._pick = self._pick._replace(seconds=seconds)
        super().__init__(self._context.limits, seconds)

    # Its end

    def count(self, value: object) -> bool:
        """End with a value that no policy classifies, and count the success, without waiting.

        False if that is not possible; ``returned`` must be awaited then.
        """
        pick, context = self._pick, self._context
        if (
            value is NOT_CALLED
            or self.expired
            or pick.permit is not None
            or self._classify is not None
            or pick.classify is not None
            or context.classifier.classifies_values
            # As its context counts it, which only few successes need to cross.
            or not (
                pick.breaker.count_success(pick.generation)
                or context.send_success(pick.breaker, pick.generation)
            )
        ):
            return False
        self._end()
        if pick.slot is not None:
            context.release(pick)
        return True

    async def returned(self, value: object, given: object) -> Classification:
        """End with a value of the awaited object ``given``; the classification of the value.

        Raises:
            NotAwaitableError: ``given`` cannot be awaited, so there is no value.
        """
        if value is NOT_CALLED:
            self.abandon()
            raise NotAwaitableError(not_awaitable(given))
        if self.expired:  # the function caught its cancellation and returned a value
            await self.failed(self.late())
            return IGNORED
        pick, classifier = self._pick, self._context.classifier
        try:
            outcome = classifier.value(value, self._classify, pick.classify)
        except BaseException:  # a policy may raise anything, also what ends the program
            self.abandon()
            raise
        if outcome.kind != "success" and self.interrupted:
            outcome = IGNORED  # the caller was cancelled, and the function caught that
        await self._settle(outcome)
        return outcome

    async def succeeded(self) -> None:
        """End with a success that has no value to classify."""
        pick = self._pick
        if not self._answered and (
            pick.permit is not None
            or not (
                pick.breaker.count_success(pick.generation)
                or self._context.send_success(pick.breaker, pick.generation)
            )
        ):
            await self._settle(SUCCESS)
            return
        self._end()
        if pick.slot is not None:
            self._context.release(pick)

    async def failed(self, failure: Exception, *, may_wait: bool = False) -> Classification:
        """End with a failure; its classification.

        An attempt whose failure is a ``PROGRAMMING_ERROR`` stays open if it ``may_wait`` for the
        call to show whose error it is; ``charge`` or ``abandon`` ends it.
        """
        pick = self._pick
        try:
            outcome = self._classified(failure)
        except BaseException:  # as in returned
            self.abandon()
            raise
        outer = RUNNING.get()  # this attempt runs no more
        if outer is not None:
            outer.note_inner(failure)
        if outcome is PROGRAMMING_ERROR and may_wait:
            self._let_go_of_slot()
            return outcome
        words = in_words(failure)
        if outcome.kind == "failure":
            pick.breaker.last_error = words
        _log.debug("a call of %s raised %s: %s", pick.registration.name, words, outcome.kind)
        await self._settle(outcome)
        return outcome

    async def charge(self) -> None:
        """End with the failure of a provider whose answer was not what it should be."""
        await self._settle(FAILURE)

    def note_inner(self, failure: Exception) -> None:
        """An attempt inside of this one has failed, and its breaker has counted that."""
        self._inner = [*self._inside()[-_MOST_INNER:], failure]

    def _classified(self, failure: Exception) -> Classification:
        pick, classifier = self._pick, self._context.classifier
        own = isinstance(failure, CallTimeoutError) and self.expired
        own = own or (isinstance(failure, CallCancelledError) and not self._inside())
        if not own and self._comes_from_inside(failure):
            return IGNORED
        outcome = classifier.error(failure, self._classify, pick.classify)
        if outcome is PROGRAMMING_ERROR and not may_have_awaited(failure):
            log_mistake(self.provider, failure, "before it awaited anything")
            return IGNORED
        return outcome

    def _comes_from_inside(self, failure: Exception) -> bool:
        """Whether a guarded call inside of this attempt has raised this, or what it wraps."""
        inner = self._inside()
        self._inner = []  # an error may hold this attempt
        if (
            not inner
            and failure.__context__ is failure.__cause__ is None
            and not isinstance(failure, RegistryError)
        ):
            return False
        return any(
            isinstance(link, RegistryError) or any(link is one for one in inner)
            for link in all_wrapped(failure)
        )

    def _inside(self) -> list[Exception]:
        """The errors of attempts inside of this one."""
        return getattr(self, "_inner", [])

    def _let_go_of_slot(self) -> None:
        slot = self._pick.slot
        if slot is not None:
            self._pick = self._pick._replace(slot=None)
            self._context.release_slot(slot)

    def abandon(self) -> None:
        """End without an outcome: the caller was cancelled or stopped waiting."""
        if self._end():
            self._context.release(self._pick)

    async def _settle(self, outcome: Classification) -> None:
        if self._end():
            await self._context.settle(self._pick, outcome)

    def _end(self) -> bool:
        """Mark the attempt as settled; False if it was settled before."""
        if self._settled:
            return False
        self._settled = True
        self._pick.breaker.in_flight -= 1
        return True
