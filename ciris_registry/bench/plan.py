"""How much is to be measured, and where: the options, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

from ciris_registry.bench import FEWEST_PROCESSES, LEAST_SCALE, MOST_PROCESSES, MOST_SCALE
from ciris_registry.errors import RegistryError
from ciris_registry.store.connection import StoreURL

FLEET_PROVIDERS: Final = 4
"""Those that take turns in the round robin."""

_FEWEST_OPENINGS: Final = 20
_TRYING_OUT: Final = 0.05
"""Below this scale nothing is learned but that it runs."""


class BenchError(RegistryError):
    """The bench cannot begin or go on; the message says why."""


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """One run. The URL may hold a password, so this has no repr."""

    url: str | None
    """Where; None is an embedded server of the run's own."""

    processes: int
    scale: float
    """1 is a full run; what is counted in the properties below shrinks and grows with it."""

    @classmethod
    def checked(cls, url: str | None, processes: int, scale: float) -> Self:
        """The plan for these options.

        Raises:
            LocationError: The URL is none.
            BenchError: Another option is out of its bounds.
        """
        if not FEWEST_PROCESSES <= processes <= MOST_PROCESSES:
            raise BenchError(f"{processes} processes; use {FEWEST_PROCESSES} to {MOST_PROCESSES}")
        if not math.isfinite(scale) or not LEAST_SCALE <= scale <= MOST_SCALE:
            raise BenchError(f"a scale of {scale}; use {LEAST_SCALE} to {MOST_SCALE:.0f}")
        if url and StoreURL.parse(url).scheme == "memory":
            raise BenchError(
                "memory:// is private to each process, and several are measured; "
                "leave the URL out for a server of the bench's own"
            )
        return cls(url, processes, scale)

    @property
    def rounds(self) -> int:
        """How often each contender of a comparison has its turn."""
        return max(5, round(80 * self.scale))

    @property
    def round_seconds(self) -> float:
        """About how long one turn lasts."""
        return 0.02 if self._serious else 0.002

    @property
    def counted_seconds(self) -> float:
        """How long guarded calls are made at a steady rate while commands are counted."""
        return max(0.5, 10 * self.scale)

    @property
    def turns(self) -> int:
        """Round-robin resolves of each process; a multiple of the number of providers."""
        return 500 if self._serious else 20 * FLEET_PROVIDERS

    @property
    def consecutive_openings(self) -> int:
        """How often a breaker is opened while other processes watch."""
        return max(_FEWEST_OPENINGS, round(100 * self.scale)) if self._serious else 4

    @property
    def population(self) -> int:
        """Providers that are registered to see how much memory they take."""
        return min(1000, max(50, round(2000 * self.scale)))

    @property
    def _serious(self) -> bool:
        return self.scale >= _TRYING_OUT
