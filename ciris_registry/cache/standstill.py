"""Whether the event loop of this process has just stood still, as after SIGSTOP.

A timer that rings late shows it. It runs only while it is in use, so that an idle process is not
woken by it.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

_INTERVAL: Final = 0.25
"""Seconds between two looks, and how late one must be."""

_IN_USE: Final = 2.0
"""Seconds after its last use for which the timer goes on."""


class Standstill:
    """Watches one event loop; ``ended_at`` is the monotonic time at which it last went on again.

    A user sets ``used_at``, also a monotonic time, and calls ``watch`` if another ``loop`` or none
    is watched.
    """

    __slots__ = ("_due", "ended_at", "loop", "used_at")

    def __init__(self) -> None:
        self.ended_at = -math.inf
        self.used_at = self._due = 0.0
        self.loop: asyncio.AbstractEventLoop | None = None

    def watch(self) -> None:
        """Watch the running loop from now on, until some seconds after the last use."""
        self.used_at = time.monotonic()
        self.loop = asyncio.get_running_loop()
        self._set_timer(self.loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = time.monotonic() + _INTERVAL
        loop.call_later(_INTERVAL, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        if self.loop is not loop:
            return
        if now - self._due > _INTERVAL:
            self.ended_at = now
        if now - self.used_at < _IN_USE:
            self._set_timer(loop)
        else:
            self.loop = None
