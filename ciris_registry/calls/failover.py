"""What one guarded call has tried: which providers, with which errors, and how it ends.

It decides whether the next provider is called. Which one that is, the executor asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ciris_registry.calls.messages import explain_failure
from ciris_registry.calls.suspects import Suspects
from ciris_registry.circuit_breaker.outcomes import PROGRAMMING_ERROR

if TYPE_CHECKING:
    from ciris_registry.calls.attempt import Attempt
    from ciris_registry.circuit_breaker.outcomes import Classification
    from ciris_registry.errors import NoProviderError

_FAIL_OVER: Final = frozenset({"failure", "cooldown", "refused", "unfit"})
"""Outcomes after which the next provider is called."""


class CallRound:
    """One round of a call that may be retried.

    ``exhausted``: all providers failed or were unavailable; a later round may succeed.
    """

    __slots__ = ("exhausted",)

    def __init__(self) -> None:
        self.exhausted = False


class Failover:
    """The course of one round of a call.

    ``tried`` has the error of each provider that was called, None for one that returned a failure.
    ``failure`` is the error of the last attempt.
    """

    __slots__ = ("_allowed", "_round", "_suspects", "_value", "failure", "tried")

    def __init__(self, this_round: CallRound | None = None, *, allowed: bool) -> None:
        self.tried: dict[str, Exception | None] = {}
        self.failure: Exception | None = None
        self._allowed = allowed
        self._round = this_round
        self._suspects: Suspects | None = None
        self._value: Any = None

    @property
    def suspects(self) -> bool:
        """Whether an attempt waits for the call to show whose error it met."""
        return self._suspects is not None

    async def failed(self, attempt: Attempt, failure: Exception) -> bool:
        """An attempt has failed; whether the next provider is called."""
        self.failure = failure
        outcome = await attempt.failed(failure, may_wait=self._allowed)
        if outcome is PROGRAMMING_ERROR and self._allowed:
            self._suspects = self._suspects or Suspects()
            self._suspects.add(attempt, failure)
            self._note(attempt)
            return True
        return self._goes_on(attempt, outcome)

    async def returned(self, attempt: Attempt, value: Any, given: object) -> bool:
        """An attempt has returned a value of ``given``; whether the next provider is called."""
        self.failure, self._value = None, value
        outcome = await attempt.returned(value, given)
        if outcome.kind == "success":
            await self.served()
        return self._goes_on(attempt, outcome)

    async def served(self) -> None:
        """A provider has served: those that answered what they should not are charged."""
        suspects, self._suspects = self._suspects, None
        if suspects is not None:
            await suspects.charge()

    def left(self, attempt: Attempt) -> None:
        """The call uses an attempt no more: it is abandoned, unless it ended or waits."""
        if self._suspects is None or attempt not in self._suspects:
            attempt.abandon()

    def exhausted(self, none: NoProviderError) -> None:
        """No other provider can be called; ``none`` says why."""
        if self._round is not None:
            self._round.exhausted = True
        if self.failure is not None and self._suspects is None:
            explain_failure(self.failure, self.tried, none)

    def result(self) -> Any:  # what the last provider returned
        """How the call ends: the last value, or the failure, which is raised."""
        suspects, self._suspects = self._suspects, None
        if suspects is not None:
            first = suspects.acquit([*self.tried.values(), self.failure])
            if first is not None and self._round is not None:
                self._round.exhausted = False  # another round would end in the same error
            self.failure = first or self.failure
        if self.failure is not None:
            raise self.failure
        return self._value

    def clear(self) -> None:
        """Forget all: the traceback of an error holds this object."""
        if self._suspects is not None:
            self._suspects.clear()
        self.failure = self._suspects = self._value = None
        self.tried.clear()

    def _goes_on(self, attempt: Attempt, outcome: Classification) -> bool:
        if not self._allowed or outcome.kind not in _FAIL_OVER:
            return False
        self._note(attempt)
        return True

    def _note(self, attempt: Attempt) -> None:
        self.tried[attempt.provider[1]] = self.failure
