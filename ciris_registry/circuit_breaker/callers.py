"""Which processes call a provider and which fail, as far as its breaker's rules ask for it.

As ``lua/lib/callers.lua``; bounded by the number of processes. It refuses to know how many of
them are enough: the rules do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Callers:
    """When each process ``called`` last, and when it ``failed`` last, in milliseconds."""

    called: dict[str, int] = field(default_factory=dict[str, int])
    failed: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def parse(cls, members: Mapping[str, int]) -> Callers:
        """Those in a breaker's sorted set."""
        return cls(_times_of(members, "called"), _times_of(members, "failed"))

    def copy(self) -> Callers:
        """An independent copy."""
        return Callers(dict(self.called), dict(self.failed))

    def note(self, now: int, process: str, *, failed: bool, needed: int) -> None:
        """A process called; what is from before ``needed`` goes."""
        self.called[process] = now
        if failed:
            self.failed[process] = now
        self._drop(needed, needed)

    def forget(self, failed_since: float) -> None:
        """Nobody has called, and failed have only those who did since then."""
        self._drop(float("inf"), failed_since)

    def calling(self, since: float) -> int:
        """How many have called at that time or later."""
        return sum(at >= since for at in self.called.values())

    def failing(self, since: float) -> int:
        """How many have failed at that time or later."""
        return sum(at >= since for at in self.failed.values())

    def _drop(self, called_before: float, failed_before: float) -> None:
        self.called = {one: at for one, at in self.called.items() if at >= called_before}
        self.failed = {one: at for one, at in self.failed.items() if at >= failed_before}


def _times_of(members: Mapping[str, int], what: str) -> dict[str, int]:
    """By process, when it ``called`` or ``failed``."""
    pairs = ((member.partition("|"), at) for member, at in members.items())
    return {parts[2]: at for parts, at in pairs if parts[0] == what}
