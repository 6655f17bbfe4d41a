"""The round trip of the connection of the scripts, and how long a call waits for Redis by it.

The wait is ``store_timeout`` or four round trips, whichever is longer: a Redis that is far away is
not away. Measures a few replies a second; does not send.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from statistics import median_low
from typing import TYPE_CHECKING, Final

from ciris_registry.settings import REPLY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.settings import RegistrySettings

_log = logging.getLogger(__name__)

_SAMPLES: Final = 16
"""The round trip is the median of so many replies: one late reply changes nothing."""

_TIMES: Final = 4
"""A call waits for so many round trips: replies of a long line vary."""

_FIRST_PAUSE: Final = 0.01
_PAUSE: Final = 0.1
"""Seconds between two samples, until there are enough and afterwards: most calls measure none."""

_LAG: Final = 0.005
_SHARE: Final = 0.25
"""A sample does not count if the event loop was late by more than so many seconds and by more than
this share of it: then it shows the loop's time, not that of Redis."""

_ENOUGH: Final = 8
"""Samples after which a long round trip is logged."""


class Sample:
    """One command on its way, which knows how late the event loop was in that time."""

    __slots__ = ("_began", "_due", "_ended", "_late", "_note")

    def __init__(self, note: Callable[[float, float], None], began: float) -> None:
        self._note = note
        self._began = self._due = began
        self._late = 0.0
        self._ended = False
        self._look()

    def end(self) -> None:
        """Its reply has come."""
        self._ended = True
        now = time.monotonic()
        self._note(now - self._began, self._late + max(0.0, now - self._due))

    def _look(self) -> None:
        now = time.monotonic()
        if not self._ended and now - self._began < REPLY_TIMEOUT:  # its caller may have gone
            self._late += max(0.0, now - self._due)
            wait = max(_LAG, _SHARE * (now - self._began))
            self._due = now + wait
            asyncio.get_running_loop().call_later(wait, self._look)


class RoundTrip:
    """The round trip of one process; ``seconds`` is 0 until the first reply was measured.

    ``wait`` is how long a call waits for Redis, in seconds.
    """

    def __init__(self, url: str, settings: RegistrySettings) -> None:
        self.seconds = 0.0
        self.wait = self._shortest = settings.store_timeout
        self._longest = max(settings.store_timeout, settings.max_store_timeout)
        self._url = url
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self.next_at = 0.0
        self._logged = False

    def begin(self) -> Sample:
        """A command is sent whose reply is measured: not before ``next_at``, a monotonic time."""
        now = time.monotonic()
        self.next_at = now + (_PAUSE if len(self._samples) == _SAMPLES else _FIRST_PAUSE)
        return Sample(self._note, now)

    def _note(self, took: float, late: float) -> None:
        if late <= max(_LAG, _SHARE * took):
            self.note(took)
        elif not self._samples:
            self.note(took - late)

    def note(self, seconds: float) -> None:
        """A reply took so many seconds."""
        self._samples.append(seconds)
        self.seconds = median_low(self._samples)
        self.wait = min(max(self._shortest, _TIMES * self.seconds), self._longest)
        if len(self._samples) >= _ENOUGH and self.seconds > self._shortest and not self._logged:
            self._logged = True
            _log.warning(
                "a round trip to Redis takes %.0f ms and store_timeout is %.0f ms: calls that ask "
                "Redis wait for up to %.0f ms; use a nearer server, or raise store_timeout: %s",
                self.seconds * 1000,
                self._shortest * 1000,
                self.wait * 1000,
                self._url,
                extra={"url": self._url},
            )
