"""The commands that Redis has refused and not carried out since.

Redis may answer a PING, and each step of reconciling, and still refuse a script that only some
calls use. Decides how long a process waits before it uses Redis again after the same command was
refused again. Sends nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ciris_registry.store.connection.retry import backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.errors import StoreError

_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 10.0
"""Seconds of the first and of the longest wait; the wait doubles with each refusal of a command."""

FORGOTTEN: Final = 60.0
"""Seconds after which a command that was not refused again counts as carried out."""


class Refusals:
    """The refused commands of one process, each with its newest error.

    ``on_none`` is called when each of them has been carried out since.
    """

    def __init__(self, on_none: Callable[[], None] = lambda: None) -> None:
        self.by_command: dict[str, StoreError] = {}
        """Empty most of the time: every reply looks whether it is."""
        self._waits = backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._again = False
        self._at = 0.0
        self._on_none = on_none

    def note(self, error: StoreError) -> None:
        """Redis has refused a command."""
        self._again = error.command in self.by_command
        self._at = time.monotonic()
        # The newest is the last one.
        self.by_command.pop(error.command, None)
        self.by_command[error.command] = error

    def passed(self, command: str) -> None:
        """Redis has carried a command out."""
        if self.by_command.pop(command, None) is not None and not self.by_command:
            self._waits = backoff(_FIRST_WAIT, _LONGEST_WAIT)
            self._again = False
            self._on_none()

    def forget_old(self) -> None:
        """If no command was refused for long, count all as carried out."""
        if time.monotonic() - self._at >= FORGOTTEN:
            for command in list(self.by_command):
                self.passed(command)

    @property
    def newest(self) -> StoreError | None:
        """The newest error; None if each command has been carried out since."""
        return next(reversed(self.by_command.values()), None)

    def wait(self) -> float:
        """Seconds to wait before Redis is used again: 0 after the first refusal of a command."""
        if not self._again:
            return 0.0
        self._again = False
        return next(self._waits)
