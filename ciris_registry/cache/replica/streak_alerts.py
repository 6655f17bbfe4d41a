"""Streak warnings of the fleet: while a streak of failures runs, successes are reported at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

_SECONDS: Final = 2.0
"""How long a warning counts; while the streak goes on, the next one comes within one second."""


class StreakAlerts(dict[str, float]):
    """Until when the streak of a breaker counts as running, by name.

    It is a dict because every call asks whether there is any.
    """

    def add(self, name: str) -> None:
        """A streak of a breaker's failures is running."""
        self[name] = time.monotonic() + _SECONDS

    def drop_old(self, name: str) -> bool:
        """Drop a breaker's alert if its time is over; whether one still stands."""
        until = self.get(name, 0.0)
        if until and time.monotonic() > until:
            del self[name]
        return name in self

    def keep(self, names: Container[str]) -> None:
        """Drop all other alerts."""
        for name in [name for name in self if name not in names]:
            del self[name]
