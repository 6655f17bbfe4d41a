"""What all attempts of one process use: classifier, time limits, and how outcomes are settled.

A report that fails is logged, and never replaces the result of a call.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker.outcomes import FAILURE
from ciris_registry.errors import RegistryError
from ciris_registry.shared_breaker import in_words
from ciris_registry.timeouts import TimeLimits

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes import Classification, Classifier
    from ciris_registry.selection import ConcurrencyLimit, Pick, Slot
    from ciris_registry.shared_breaker import BreakerAdmission, Cooldowns, Reporting, SharedBreaker

_log = logging.getLogger(__name__)

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
        self.send_success = reporting.send_success
        self._reporting = reporting
        self._admission = admission
        self._cooldowns = cooldowns
        self._concurrency_limit = concurrency_limit
        self._warned: set[tuple[str, str]] = set()

    async def settle(self, pick: Pick, outcome: Classification) -> None:
        """Report the outcome of an attempt, and release its permit and slot."""
        permit = pick.permit.permit if pick.permit is not None else ""
        try:
            await self._report(pick.breaker, outcome, permit, pick.generation)
        finally:
            # After the report: its permit may end soon.
            if pick.slot is not None:
                self._concurrency_limit.release(pick.slot)

    async def factory_failed(
        self, breaker: SharedBreaker, error: Exception, permit: str, generation: int | None
    ) -> None:
        """Report what a factory raised in place of an instance."""
        outcome = self.classifier.error(error)
        if outcome.kind == "ignored":
            outcome = FAILURE  # without an instance there is no provider
        if outcome.kind == "failure":
            breaker.last_error = in_words(error)
        await self._report(breaker, outcome, permit, generation)

    async def _report(
        self,
        breaker: SharedBreaker,
        outcome: Classification,
        permit: str,
        generation: int | None,
    ) -> None:
        if permit:
            generation = None  # a permit belongs to one generation
        try:
            if outcome.kind == "success":
                if permit or not (
                    breaker.count_success(generation) or self.send_success(breaker, generation)
                ):
                    await self._reporting.report(breaker, "success", permit, generation)
            elif outcome.kind == "failure":
                await self._reporting.report(breaker, "failure", permit, generation)
            elif outcome.kind == "refused":
                await self._reporting.refused(breaker, outcome.code, permit, generation)
            else:
                if outcome.kind == "cooldown":
                    self._cooldowns.begin(breaker, outcome.seconds, outcome.reason)
                if permit:
                    self._admission.release(breaker, permit)
        except RegistryError as error:
            self._warn(breaker.key, error)

    def _warn(self, key: tuple[str, str], error: RegistryError) -> None:
        if key not in self._warned:
            if len(self._warned) >= _MOST_REMEMBERED:
                self._warned.clear()
            self._warned.add(key)
            kind, name = key
            _log.warning("outcomes of %s of %s cannot be reported: %s", name, kind, error)

    def release_slot(self, slot: Slot) -> None:
        """Release the slot of an attempt whose outcome is not known yet."""
        self._concurrency_limit.release(slot)

    def release(self, pick: Pick) -> None:
        """Release permit and slot of an attempt without an outcome."""
        if pick.permit is not None:
            self._admission.release(pick.breaker, pick.permit.permit)
        if pick.slot is not None:
            self._concurrency_limit.release(pick.slot)
