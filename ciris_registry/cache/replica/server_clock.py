"""The server's time, as far as this process can tell it without asking.

Owns the difference between that clock and this machine's monotonic one, taken from the last reply.
This machine's time of day is used only until the first reply. The replica handles a clock that
was set.
"""

from __future__ import annotations

import time
from typing import Final

STEP: Final = 1000
"""Milliseconds by which a clock must differ from what was expected to count as set."""

_PROMPT: Final = 20
"""Milliseconds after which a reply is too late to tell the time better than the last one."""


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

    def copy(self) -> ServerClock:
        """The clock as it goes on without further replies."""
        other = ServerClock()
        other._ahead = self._ahead
        return other

    def set(self, now: int, asked: float) -> bool:
        """Take the time of a reply to a command sent at ``asked``, this process's monotonic time.

        The server read its clock at some time between the two. Returns whether that clock was set
        since the last reply: a reply may be late, but it cannot come from before its command.
        """
        least, most = now - _monotonic(), now - int(asked * 1000)
        was_set = most < self._ahead - STEP or least > self._ahead + STEP
        # A reply that was on its way for long says less than an earlier one.
        if was_set or not least <= self._ahead <= most or most - least < _PROMPT:
            self._ahead = least
        return was_set


def _monotonic() -> int:
    return int(time.monotonic() * 1000)
