"""Outcomes that this process counts while Redis is away, merged when Redis is back.

Counts, not states: the in-process breaker goes on in the snapshot. Bounded by the number of
breakers. An outcome is sent once: one that is in flight when Redis goes away again is lost.
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

    ``cools_until`` is the server's time until which the provider cools down; 0 if it does not.
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
        """Count outcomes of one kind, the newest ``at`` a monotonic time, or now."""
        if outcome == "success":
            self.successes += count
            self.newest = max(self.newest, time.monotonic() if at is None else at)
            self.streak = 0
        elif outcome == "failure":
            self.failures += count
            self.streak += count

    def follow(self, earlier: OfflineCounts) -> None:
        """Put earlier counts before these."""
        if not self.successes:
            self.streak += earlier.streak
        self.generation = earlier.generation
        self.successes += earlier.successes
        self.newest = max(self.newest, earlier.newest)
        self.failures += earlier.failures
        self.cools_until = max(self.cools_until, earlier.cools_until)


class OfflineOutcomes:
    """The offline counts of each breaker, by service type and name."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], OfflineCounts] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def of(self, key: tuple[str, str], generation: int) -> OfflineCounts:
        """The counts of a breaker; new ones begin at this shared generation."""
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = OfflineCounts(generation)
        return counts

    async def replay(
        self, merge: Callable[[tuple[str, str], OfflineCounts], Awaitable[object]]
    ) -> None:
        """Merge all counts, each once.

        Raises:
            StoreUnavailableError: Redis is away again; what was not sent yet stays.
        """
        while self._counts:
            key, counts = self._counts.popitem()
            try:
                await merge(key, counts)
            except IndeterminateWriteError:
                _log.warning(
                    "outcomes of %s that were counted while Redis was away may be lost", key[1]
                )
                raise
            except StoreUnavailableError:
                newer = self._counts.setdefault(key, counts)
                if newer is not counts:
                    newer.follow(counts)
                raise
            except RegistryError as error:
                _log.warning("outcomes of %s that were counted offline are lost: %s", key[1], error)
