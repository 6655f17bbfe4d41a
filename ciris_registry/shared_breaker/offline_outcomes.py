"""What this process learns of breakers while Redis is away, to be offered when it is back.

Owns counts, not states: the in-process breaker goes on in the snapshot. Bounded by the number of
breakers. Nothing is offered twice: what is on its way when Redis goes away again is lost.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ciris_registry.errors import IndeterminateWriteError, RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.circuit_breaker import Outcome

_log = logging.getLogger(__name__)


class OfflineCounts:
    """Outcomes of one breaker, and the shared generation that was known before them.

    ``cools_until`` is the server's time until which it was told to cool down, too; 0 if it was not.
    """

    __slots__ = ("cools_until", "failures", "generation", "newest", "streak", "successes")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.successes = 0
        self.failures = 0
        self.streak = 0
        self.newest = 0.0
        self.cools_until = 0

    def age(self) -> int:
        """Milliseconds since the newest success; 0 if there was none."""
        return max(0, int((time.monotonic() - self.newest) * 1000)) if self.successes else 0

    def note(self, outcome: Outcome, count: int = 1, at: float | None = None) -> None:
        """So many more outcomes of this kind, the newest ``at`` a monotonic time, or now."""
        if outcome == "success":
            self.successes += count
            self.newest = max(self.newest, time.monotonic() if at is None else at)
            self.streak = 0
        elif outcome == "failure":
            self.failures += count
            self.streak += count

    def follow(self, earlier: OfflineCounts) -> None:
        """These came after the earlier ones, which count too."""
        if not self.successes:
            self.streak += earlier.streak
        self.generation = earlier.generation
        self.successes += earlier.successes
        self.newest = max(self.newest, earlier.newest)
        self.failures += earlier.failures
        self.cools_until = max(self.cools_until, earlier.cools_until)


class OfflineOutcomes:
    """What was learned of each breaker, by service type and name."""

    def __init__(self) -> None:
        self._learned: dict[tuple[str, str], OfflineCounts] = {}

    def __bool__(self) -> bool:
        return bool(self._learned)

    def of(self, key: tuple[str, str], generation: int) -> OfflineCounts:
        """What was learned of a breaker, begun at this shared generation if nothing was yet."""
        learned = self._learned.get(key)
        if learned is None:
            learned = self._learned[key] = OfflineCounts(generation)
        return learned

    async def source(
        self, merge: Callable[[tuple[str, str], OfflineCounts], Awaitable[object]]
    ) -> None:
        """Hand over everything that was learned, each once.

        Raises:
            StoreUnavailableError: Redis is away again; what was not sent yet stays.
        """
        while self._learned:
            key, learned = self._learned.popitem()
            try:
                await merge(key, learned)
            except IndeterminateWriteError:
                _log.warning("what was learned of %s while Redis was away may be lost", key[1])
                raise
            except StoreUnavailableError:
                newer = self._learned.setdefault(key, learned)
                if newer is not learned:
                    newer.follow(learned)
                raise
            except RegistryError as error:
                _log.warning("what was learned of %s is lost: %s", key[1], error)
