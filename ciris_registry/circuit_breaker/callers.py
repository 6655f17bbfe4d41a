"""Which processes called a provider and which failed, for the trip conditions of its breaker.

The same as ``lua/lib/callers.lua``. Its size is bounded by the number of processes. How many of
them open a breaker, ``trip_conditions`` decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Callers:
    """When each process called last and failed last, in milliseconds."""

    called: dict[str, int] = field(default_factory=dict[str, int])
    failed: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def parse(cls, members: Mapping[str, int]) -> Callers:
        """Read the members of a breaker's sorted set, where times of failures are negative."""
        return cls(_times_of(members, "called"), _times_of(members, "failed"))

    def copy(self) -> Callers:
        """An independent copy."""
        return Callers(dict(self.called), dict(self.failed))

    def note(self, now: int, process: str, *, failed: bool, needed: int) -> None:
        """Note a call of a process; drop entries older than ``needed``."""
        self.called[process] = now
        if failed:
            self.failed[process] = now
        self._drop(needed, needed)

    def forget(self, failed_since: float) -> None:
        """Drop all calls, and failures from before ``failed_since``."""
        self._drop(float("inf"), failed_since)

    def calling(self, since: float) -> int:
        """How many processes called at that time or later."""
        return sum(at >= since for at in self.called.values())

    def failing(self, since: float) -> int:
        """How many processes failed at that time or later."""
        return sum(at >= since for at in self.failed.values())

    def _drop(self, called_before: float, failed_before: float) -> None:
        self.called = {one: at for one, at in self.called.items() if at >= called_before}
        self.failed = {one: at for one, at in self.failed.items() if at >= failed_before}


def _times_of(members: Mapping[str, int], what: str) -> dict[str, int]:
    """The times of one kind, ``called`` or ``failed``, by process."""
    pairs = ((member.partition("|"), at) for member, at in members.items())
    return {parts[2]: abs(at) for parts, at in pairs if parts[0] == what}
