"""The server's time, as far as this process can tell it without asking.

Owns the difference between that clock and this machine's monotonic one, taken from the last reply.
This machine's time of day is used only until the first reply. The replica handles a clock that
stepped back.
"""

from __future__ import annotations

import time
from typing import Final

STEP: Final = 1000
"""Milliseconds beyond which a time that goes back is a step of the clock, not a late reply."""


class ServerClock:
    """The clock of the server that has one service type; times are its milliseconds."""

    __slots__ = ("_ahead",)

    def __init__(self) -> None:
        self._ahead = int(time.time() * 1000) - _monotonic()

    def now(self) -> int:
        """The server's time."""
        return int(time.monotonic() * 1000) + self._ahead

    def monotonic_at(self, at: int) -> float:
        """This process's monotonic clock, in seconds, at a server's time."""
        return (at - self._ahead) / 1000

    def set(self, now: int) -> bool:
        """Take the time of a reply; whether the clock has stepped back since the last one."""
        monotonic = _monotonic()
        stepped = now < monotonic + self._ahead - STEP
        self._ahead = now - monotonic
        return stepped


def _monotonic() -> int:
    return int(time.monotonic() * 1000)
