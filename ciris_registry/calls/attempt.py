"""One attempt: a call of one provider, limited in time, classified by how it ended, settled once.

``call``, ``stream`` and ``acquire`` all make attempts, so that limit, blame and settlement are the
same for each. It refuses to choose providers and to repeat anything; whatever happens to the report
of an outcome, the caller gets its own result.
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
    from ciris_registry.shared_breaker import BreakerAdmission, Cooldowns, Reporting

_log = logging.getLogger(__name__)

NOT_CALLED: Final = object()
"""In place of a value: nothing was called, or nothing that can be awaited."""

PROGRAMMING_ERRORS: Final = (TypeError, AttributeError, NameError)
"""Raised in calling, before there is anything to await, these are the program's mistake: they must
not open a provider for the whole fleet."""


class AttemptContext:
    """What the attempts of one process use."""

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
        self._warned: set[str] = set()

    async def settle(self, pick: Pick, outcome: Classification) -> None:
        """Report how an attempt ended, and release what it was admitted with."""
        breaker = pick.breaker
        permit = pick.permit.permit if pick.permit is not None else ""
        # A permit belongs to one generation.
        generation = None if permit else pick.generation
        try:
            if outcome.kind == "success":
                if permit or not breaker.count_success(generation):
                    await self._reporting.report(breaker, "success", permit, generation)
            elif outcome.kind == "failure":
                await self._reporting.report(breaker, "failure", permit, generation)
            else:
                if outcome.kind == "cooldown":
                    self._cooldowns.begin(breaker, outcome.seconds, outcome.reason)
                if permit:
                    self._admission.release(breaker, permit)
        except RegistryError as error:
            if breaker.name not in self._warned:
                self._warned.add(breaker.name)
                _log.warning("outcomes of %s cannot be reported: %s", breaker.name, error)
        finally:
            # After the report, which may have little time left and does not wait for this.
            if pick.slot is not None:
                self._concurrency_limit.release(pick.slot)

    def release(self, pick: Pick) -> None:
        """Release what an attempt without an outcome was admitted with."""
        if pick.permit is not None:
            self._admission.release(pick.breaker, pick.permit.permit)
        if pick.slot is not None:
            self._concurrency_limit.release(pick.slot)


class Attempt(TimeLimit):
    """One attempt, and the time limit of what is awaited of the provider: ``with attempt:``.

    It begins when it is made. It ends with ``count``, ``succeeded``, ``returned``, ``failed`` or
    ``abandon``, of which the first one settles it; later ones change nothing.
    """

    __slots__ = ("_answered", "_classify", "_context", "_pick", "_settled")

    def __init__(self, context: AttemptContext, pick: Pick, classify: Classify | None) -> None:
        super().__init__(context.limits, pick.seconds)
        self._context = context
        self._pick = pick
        self._classify = classify
        self._settled = self._answered = False
        pick.breaker.in_flight += 1

    # Whose failure an error is

    def failure(self, error: BaseException, *, called: bool = True) -> Exception | None:
        """What the provider failed with; None if the error is not the provider's.

        Then the attempt is abandoned: the caller was cancelled, or the program made a mistake
        before anything was ``called`` that can be awaited.
        """
        if self._settled:
            return None
        if (
            not isinstance(error, Exception)
            # A caller that was cancelled wants no other answer, whatever the provider makes of it.
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

    # How it goes on

    async def answered(self) -> None:
        """It goes on, but the outcome of a probe is known: the provider has answered."""
        pick = self._pick
        if pick.permit is not None:
            self._pick, self._answered = pick._replace(permit=None, generation=None), True
            await self._context.settle(pick._replace(slot=None), SUCCESS)

    def limit_next(self) -> None:
        """Limit what is awaited next anew: by as long as any call of the provider may take."""
        seconds = self._pick.breaker.config.timeout_duration
        super().__init__(self._context.limits, seconds)

    # How it ends

    def count(self, value: object) -> bool:
        """It ended with this value, which no policy classifies, and its success is counted.

        False if something has to be awaited for that: ``returned`` does.
        """
        pick, context = self._pick, self._context
        if (
            value is NOT_CALLED
            or self.expired
            or pick.permit is not None
            or self._classify is not None
            or pick.classify is not None
            or context.classifier.classifies_values
            or not pick.breaker.count_success(pick.generation)
        ):
            return False
        self._end()
        if pick.slot is not None:
            context.release(pick)
        return True

    async def returned(self, value: object, given: object) -> Classification:
        """It ended with this value of what the function had ``given``; how that is classified.

        Raises:
            NotAwaitableError: That cannot be awaited, so there is no value.
        """
        if value is NOT_CALLED:
            self.abandon()
            raise NotAwaitableError(not_awaitable(given))
        if self.expired:  # and the function made a value of it, which its caller gets
            await self.failed(self.late())
            return IGNORED
        pick, classifier = self._pick, self._context.classifier
        try:
            outcome = classifier.value(value, self._classify, pick.classify)
        except BaseException:  # a policy may do anything, also end the program
            self.abandon()
            raise
        await self._settle(outcome)
        return outcome

    async def succeeded(self) -> None:
        """It ended well, and there is no value to classify."""
        pick = self._pick
        if not self._answered and (
            pick.permit is not None or not pick.breaker.count_success(pick.generation)
        ):
            await self._settle(SUCCESS)
            return
        self._end()
        if pick.slot is not None:
            self._context.release(pick)

    async def failed(self, failure: Exception) -> Classification:
        """It ended with this failure; how that is classified."""
        pick, classifier = self._pick, self._context.classifier
        if isinstance(failure, CallTimeoutError) and failure.provider != pick.registration.name:
            outcome = IGNORED  # of a guarded call inside of this one
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
        """It ended without an outcome: cancelled, or given up by its caller."""
        if self._end():
            self._context.release(self._pick)

    async def _settle(self, outcome: Classification) -> None:
        if self._end():
            await self._context.settle(self._pick, outcome)

    def _end(self) -> bool:
        """It is in flight no longer; whether it was not settled before."""
        if self._settled:
            return False
        self._settled = True
        self._pick.breaker.in_flight -= 1
        return True
