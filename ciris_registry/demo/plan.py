"""What is to be played: the options, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final, Self

from ciris_registry.demo import LEAST_AGENTS, LEAST_SECONDS, MOST_AGENTS, MOST_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE: Final = "demo"
PROVIDERS: Final = ("alpha", "bravo", "charlie")
HANGING, BAD, LIMITED = PROVIDERS
"""What happens to them: one hangs for a while, one fails, one limits its callers; that one breaks
off some streams, too."""

_CALLS_A_SECOND: Final = 48.0
"""Of the whole fleet, however many agents: a laptop has other things to do."""

_FAILS: Final = 0.13
_RECOVERS: Final = 0.36
_HANGS: Final = 0.5
"""The shares of the time after which they do so."""


class DemoError(Exception):
    """The demo cannot begin or go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One performance."""

    agents: int
    seconds: float
    prompts: list[str]
    hold: bool

    @classmethod
    def checked(cls, agents: int, seconds: float, prompts: Path | None, *, hold: bool) -> Self:
        """The plan for these options.

        Raises:
            DemoError: One of them is out of its bounds.
        """
        if not LEAST_AGENTS <= agents <= MOST_AGENTS:
            raise DemoError(f"{agents} agents; use {LEAST_AGENTS} to {MOST_AGENTS}")
        if not math.isfinite(seconds) or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            raise DemoError(f"{seconds} seconds; use {LEAST_SECONDS:.0f} to {MOST_SECONDS:.0f}")
        own = resources.files("ciris_registry.demo").joinpath("prompts.txt")
        try:
            lines = (own if prompts is None else prompts).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DemoError(f"the prompts cannot be read: {error}") from None
        found = [line.strip() for line in lines if line.strip()]
        if not found:
            raise DemoError(f"{prompts} has no prompts; write one a line")
        return cls(agents, seconds, found, hold)

    @property
    def names(self) -> list[str]:
        """The agents."""
        return [f"agent-{number}" for number in range(1, self.agents + 1)]

    @property
    def every(self) -> float:
        """Seconds from one prompt of an agent to its next."""
        return self.agents / _CALLS_A_SECOND

    @property
    def fails_at(self) -> float:
        """When the bad provider begins to fail, in seconds after the first call."""
        return self.seconds * _FAILS

    @property
    def recovers_at(self) -> float:
        """When it is well again, at the earliest."""
        return self.seconds * _RECOVERS

    @property
    def hangs_at(self) -> float:
        """When another one begins to hang, at the earliest."""
        return self.seconds * _HANGS
