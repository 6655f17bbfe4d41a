"""Programming errors whose origin a call has not shown yet: the program's, or an answer's.

``response.choices[0]`` raises where a provider answers what it should not, and where the program is
wrong. If the next provider serves, the first one's answer was at fault. If each provider's attempt
ends in the same type of error, the program is: no breaker counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.calls.messages import log_mistake

if TYPE_CHECKING:
    from collections.abc import Collection

    from ciris_registry.calls.attempt import Attempt


class Suspects:
    """The attempts of one call that ended in a programming error, in order."""

    __slots__ = ("_attempts",)

    def __init__(self) -> None:
        self._attempts: list[tuple[Attempt, Exception]] = []

    def add(self, attempt: Attempt, error: Exception) -> None:
        """Keep an attempt open until the call shows what its error meant."""
        self._attempts.append((attempt, error))

    def __contains__(self, attempt: object) -> bool:
        return any(one is attempt for one, _ in self._attempts)

    async def charge(self) -> None:
        """Another provider has served: each error was its provider's failure."""
        attempts, self._attempts = self._attempts, []
        for attempt, _ in attempts:
            await attempt.charge()

    def acquit(self, tried: Collection[Exception | None]) -> Exception | None:
        """No provider has served, so no breaker counts these errors.

        Returns the first of them if all of the call's attempts ended in one type of error: it is
        the program's.
        """
        attempts, self._attempts = self._attempts, []
        for attempt, _ in attempts:
            attempt.abandon()
        errors = [error for _, error in attempts]
        if not errors or len({type(error) for error in tried}) > 1:
            return None
        for attempt, error in attempts:
            log_mistake(attempt.provider, error, "as each other provider did")
        return errors[0]

    def clear(self) -> None:
        """The call has ended otherwise: no attempt has an outcome."""
        for attempt, _ in self._attempts:
            attempt.abandon()
        self._attempts.clear()
