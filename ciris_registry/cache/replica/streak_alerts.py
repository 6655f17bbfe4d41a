"""Streak warnings of the fleet: while a streak of failures runs, successes are reported at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

_SECONDS: Final = 2.0
"""How long a warning counts; while the streak goes on, the next one comes within one second."""


class StreakAlerts:
    """The breakers of one service type whose streak counts as running, by name."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    def add(self, name: str) -> None:
        """A streak of a breaker's failures is running."""
        self._until[name] = time.monotonic() + _SECONDS

    def drop_old(self, name: str) -> bool:
        """Drop a breaker's alert if its time is over; whether one still stands."""
        until = self._until.get(name, 0.0)
        if until and time.monotonic() > until:
            del self._until[name]
        return name in self._until

    def keep(self, names: Container[str]) -> None:
        """Drop all other alerts."""
        self._until = {name: at for name, at in self._until.items() if name in names}
