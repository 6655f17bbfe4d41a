"""The options of a run, checked, and how much each measurement does at a given scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from ciris_registry.errors import RegistryError
from ciris_registry.store.connection import StoreURL

FEWEST_PROCESSES, MOST_PROCESSES = 1, 19
LEAST_SCALE, MOST_SCALE = 0.01, 10.0

FLEET_PROVIDERS: Final = 4
"""Providers of the round robin."""

_FEWEST_OPENINGS: Final = 20
_SMOKE_TEST: Final = 0.05
"""Below this scale the figures mean nothing; a run only shows that everything works."""


Progress = Callable[[float], None]
"""Takes the share of a step that is done; never called while something is timed."""


class BenchError(RegistryError):
    """The bench cannot start or continue; the message says why."""


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """One run. The URL may hold a password, so this has no repr."""

    url: str | None
    """None is an embedded server that the run starts."""

    processes: int
    scale: float
    """1 is a full run; the amounts below are proportional to it."""

    @classmethod
    def checked(cls, url: str | None, processes: int, scale: float) -> Self:
        """The plan for these options.

        Raises:
            InvalidURLError: The URL is invalid.
            BenchError: Another option is out of its bounds.
        """
        if not FEWEST_PROCESSES <= processes <= MOST_PROCESSES:
            raise BenchError(f"{processes} processes; use {FEWEST_PROCESSES} to {MOST_PROCESSES}")
        if not math.isfinite(scale) or not LEAST_SCALE <= scale <= MOST_SCALE:
            raise BenchError(f"a scale of {scale}; use {LEAST_SCALE} to {MOST_SCALE:.0f}")
        parsed = StoreURL.parse(url) if url else None
        if parsed is not None and parsed.fails_over:
            raise BenchError("bare commands are measured, too: name one server with redis://")
        if parsed is not None and parsed.scheme == "memory":
            raise BenchError(
                "memory:// is private to each process, and several are measured; "
                "leave the URL out for a server of the bench's own"
            )
        return cls(url, processes, scale)

    @property
    def rounds(self) -> int:
        """How many rounds each contender of a comparison gets."""
        return max(5, round(80 * self.scale))

    @property
    def round_seconds(self) -> float:
        """About how long one round lasts."""
        return 0.02 if self._meaningful else 0.002

    @property
    def counted_seconds(self) -> float:
        """How long calls are made at a steady rate while commands are counted."""
        return max(0.5, 10 * self.scale)

    @property
    def round_robin_resolves(self) -> int:
        """Round-robin resolves of each process; a multiple of the number of providers."""
        return 500 if self._meaningful else 20 * FLEET_PROVIDERS

    @property
    def openings(self) -> int:
        """How often a breaker is opened while other processes watch."""
        return max(_FEWEST_OPENINGS, round(100 * self.scale)) if self._meaningful else 4

    @property
    def population(self) -> int:
        """How many providers are registered to measure the memory of one."""
        return min(1000, max(50, round(2000 * self.scale)))

    @property
    def _meaningful(self) -> bool:
        return self.scale >= _SMOKE_TEST
