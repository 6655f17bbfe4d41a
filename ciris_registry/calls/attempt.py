"""One use of one provider: judged by how it ended, and settled once.

Owns what an outcome means to the breaker. It refuses to choose providers, to limit time and to
repeat anything; and whatever happens to the report of an outcome, the caller gets its own.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker.outcomes import IGNORED, SUCCESS
from ciris_registry.errors import CallTimeoutError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Generator

    from ciris_registry.breaker_parts import BreakerParts
    from ciris_registry.circuit_breaker.outcomes import Classification, Classifier, Classify
    from ciris_registry.selection import ConcurrencyLimit, Pick

_log = logging.getLogger(__name__)

_LONGEST_ERROR: Final = 200
"""Characters of an error that are shown."""


class AttemptContext:
    """Begins the uses of one process."""

    def __init__(
        self, classifier: Classifier, slots: ConcurrencyLimit, breaker_parts: BreakerParts
    ) -> None:
        self.classifier = classifier
        self.outcomes = breaker_parts.outcomes
        self.admissions = breaker_parts.admissions
        self.cooldowns = breaker_parts.cooldowns
        self._slots = slots
        self._told: set[str] = set()

    def use(self, pick: Pick, classify: Classify | None) -> Attempt:
        """A use that begins now; ``classify`` is what its caller says of outcomes."""
        return Attempt(self, pick, classify)

    async def settle(self, pick: Pick, classification: Classification) -> None:
        """Tell the breaker how a use has ended."""
        shared = pick.shared
        permit = pick.permit.permit if pick.permit is not None else ""
        # A permit is of one generation only.
        generation = None if permit else pick.generation
        try:
            if classification.kind == "success":
                if permit or not self.outcomes.count_success(shared, generation):
                    await self.outcomes.report(shared, "success", permit, generation, in_order=True)
            elif classification.kind == "failure":
                await self.outcomes.report(shared, "failure", permit, generation, in_order=True)
            else:
                if classification.kind == "cooldown":
                    self.cooldowns.begin(shared, classification.seconds, classification.reason)
                if permit:
                    self.admissions.give_back(shared, permit)
        except RegistryError as error:
            if shared.name not in self._told:
                self._told.add(shared.name)
                _log.warning("outcomes of %s cannot be reported: %s", shared.name, error)
        finally:
            # Behind the report, which may have little time left and does not wait for this.
            self.free(pick)

    def free(self, pick: Pick) -> None:
        """Its call is in flight no longer: somebody else may make one."""
        if pick.slot is not None:
            self._slots.give_back(pick.slot)


class Attempt:
    """One use, from its beginning to its end, at which one of the last five methods is called."""

    __slots__ = ("_admitted", "_answered", "_classify", "_guard")

    def __init__(self, guard: AttemptContext, pick: Pick, classify: Classify | None) -> None:
        self._guard = guard
        self._admitted = pick
        self._classify = classify
        self._answered = False
        pick.shared.in_flight += 1

    async def answered(self) -> None:
        """It goes on, but what a probe was to show is known: it goes well."""
        if self._admitted.permit is not None:
            probe, self._answered = self._admitted._replace(slot=None), True
            self._admitted = self._admitted._replace(permit=None, generation=None)
            await self._guard.settle(probe, SUCCESS)

    async def raised(self, error: Exception) -> Classification:
        """It ended with this exception; what that was taken for."""
        pick, classifier = self._admitted, self._guard.classifier
        if isinstance(error, CallTimeoutError) and error.provider != pick.registration.name:
            classification = IGNORED  # of a call inside of this one
        else:
            with self._judging():
                classification = classifier.error(error, self._classify, pick.classify)
        if classification.kind == "failure":
            pick.shared.last_error = in_words(error)
        _log.debug(
            "a call of %s raised %s: %s",
            pick.registration.name,
            in_words(error),
            classification.kind,
        )
        await self._guard.settle(self._ended(), classification)
        return classification

    def counted(self) -> bool:
        """It ended with a value that nobody judges, which is counted; else ``returned`` settles."""
        pick, classifier = self._admitted, self._guard.classifier
        if (
            pick.permit is not None
            or classifier.judges_values(self._classify, pick.classify)
            or not self._guard.outcomes.count_success(pick.shared, pick.generation)
        ):
            return False
        self._guard.free(self._ended())
        return True

    async def returned(self, value: object) -> Classification:
        """It ended with this value; what that was taken for."""
        pick, classifier = self._admitted, self._guard.classifier
        with self._judging():
            classification = classifier.value(value, self._classify, pick.classify)
        await self._guard.settle(self._ended(), classification)
        return classification

    async def succeeded(self) -> None:
        """It ended well, with nothing to be judged."""
        pick = self._ended()
        if not self._answered:
            await self._guard.settle(pick, SUCCESS)
        else:
            self._guard.free(pick)

    def abandoned(self) -> None:
        """It ended without an outcome: cancelled, or given up by its caller."""
        pick = self._ended()
        if pick.permit is not None:
            self._guard.admissions.give_back(pick.shared, pick.permit.permit)
        self._guard.free(pick)

    @contextlib.contextmanager
    def _judging(self) -> Generator[None]:
        """A policy may do anything, also end the program: nothing stays taken."""
        try:
            yield
        except BaseException:
            self.abandoned()
            raise

    def _ended(self) -> Pick:
        """It is in flight no longer, whatever becomes of the report of its outcome."""
        self._admitted.shared.in_flight -= 1
        return self._admitted


def in_words(error: BaseException) -> str:
    """An error as it is shown, whatever the program made of its ``repr``."""
    try:
        return repr(error)[:_LONGEST_ERROR]
    except Exception:  # noqa: BLE001 # the call is to be settled in any case
        return type(error).__name__
