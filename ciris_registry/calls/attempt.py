"""One attempt: a call of one provider, limited in time, classified by its outcome, settled once.

``call``, ``stream`` and ``acquire`` all make attempts, so time limit, classification and settlement
are the same for each. An attempt chooses no provider and repeats nothing. A failed report of its
outcome never replaces the result of the call.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.calls.messages import not_awaitable
from ciris_registry.circuit_breaker.outcomes import IGNORED, SUCCESS
from ciris_registry.errors import CallTimeoutError, NotAwaitableError, RegistryError
from ciris_registry.shared_breaker import in_words
from ciris_registry.timeouts import TimeLimit, TimeLimits

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes import Classification, Classifier, Classify
    from ciris_registry.selection import ConcurrencyLimit, Pick
    from ciris_registry.shared_breaker import BreakerAdmission, Cooldowns, Reporting, SharedBreaker

_log = logging.getLogger(__name__)

NOT_CALLED: Final = object()
"""In place of a value: nothing was awaited."""

PROGRAMMING_ERRORS: Final = (TypeError, AttributeError, NameError)
"""Raised by the function before there is anything to await, these are errors of the program: they
must not open a breaker for the whole fleet."""

_MOST_REMEMBERED: Final = 10_000
"""The most providers whose lost outcomes were logged; beyond it all are dropped."""


class AttemptContext:
    """The parts that all attempts of one process use."""

    def __init__(
        self,
        classifier: Classifier,
        reporting: Reporting,
        admission: BreakerAdmission,
        cooldowns: Cooldowns,
        concurrency_limit: ConcurrencyLimit,
    ) -> None:
        self.classifier = classifier
        self.limits = TimeLimits()
        self._reporting = reporting
        self._admission = admission
        self._cooldowns = cooldowns
        self._concurrency_limit = concurrency_limit
        self._warned: set[tuple[str, str]] = set()

    async def settle(self, pick: Pick, outcome: Classification) -> None:
        """Report the outcome of an attempt, and release its permit and slot."""
        breaker = pick.breaker
        permit = pick.permit.permit if pick.permit is not None else ""
        # A permit belongs to one generation.
        generation = None if permit else pick.generation
        try:
            if outcome.kind == "success":
                if permit or not self.counts(breaker, generation):
                    await self._reporting.report(breaker, "success", permit, generation)
            elif outcome.kind == "failure":
                await self._reporting.report(breaker, "failure", permit, generation)
            else:
                if outcome.kind == "cooldown":
                    self._cooldowns.begin(breaker, outcome.seconds, outcome.reason)
                if permit:
                    self._admission.release(breaker, permit)
        except RegistryError as error:
            self._warn(breaker.key, error)
        finally:
            # After the report: its permit may end soon.
            if pick.slot is not None:
                self._concurrency_limit.release(pick.slot)

    def counts(self, breaker: SharedBreaker, generation: int | None) -> bool:
        """Count a success, in a batch or sent at once; False if its report must be awaited."""
        return breaker.count_success(generation) or self._reporting.send_success(
            breaker, generation
        )

    def _warn(self, key: tuple[str, str], error: RegistryError) -> None:
        if key not in self._warned:
            if len(self._warned) >= _MOST_REMEMBERED:
                self._warned.clear()
            self._warned.add(key)
            kind, name = key
            _log.warning("outcomes of %s of %s cannot be reported: %s", name, kind, error)

    def release(self, pick: Pick) -> None:
        """Release permit and slot of an attempt without an outcome."""
        if pick.permit is not None:
            self._admission.release(pick.breaker, pick.permit.permit)
        if pick.slot is not None:
            self._concurrency_limit.release(pick.slot)


class Attempt(TimeLimit):
    """One attempt; ``with attempt:`` limits the time of what the block awaits.

    An attempt is in flight from its creation until the first of ``count``, ``succeeded``,
    ``returned``, ``failed`` and ``abandon``, which settles it. Later ones change nothing.
    """

    __slots__ = ("_answered", "_classify", "_context", "_pick", "_settled")

    def __init__(self, context: AttemptContext, pick: Pick, classify: Classify | None) -> None:
        super().__init__(context.limits, pick.seconds)
        self._context = context
        self._pick = pick
        self._classify = classify
        self._settled = self._answered = False
        pick.breaker.in_flight += 1

    # Errors: the provider's or not

    def failure(self, error: BaseException, *, called: bool = True) -> Exception | None:
        """The failure of the provider; None if the error is not the provider's.

        In that case the attempt is abandoned: the caller was cancelled, or the program raised a
        programming error before there was anything to await (``called`` is False).
        """
        if self._settled:
            return None
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
            or not context.counts(pick.breaker, pick.generation)
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
            pick.permit is not None or not self._context.counts(pick.breaker, pick.generation)
        ):
            await self._settle(SUCCESS)
            return
        self._end()
        if pick.slot is not None:
            self._context.release(pick)

    async def failed(self, failure: Exception) -> Classification:
        """End with a failure; its classification."""
        pick, classifier = self._pick, self._context.classifier
        if isinstance(failure, CallTimeoutError) and not self.expired:
            outcome = IGNORED  # of a nested guarded call
        else:
            try:
                outcome = classifier.error(failure, self._classify, pick.classify)
            except BaseException:  # as in returned
                self.abandon()
                raise
        words = in_words(failure)
        if outcome.kind == "failure":
            pick.breaker.last_error = words
        _log.debug("a call of %s raised %s: %s", pick.registration.name, words, outcome.kind)
        await self._settle(outcome)
        return outcome

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
