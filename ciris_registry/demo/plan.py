"""The options of a run, checked, and the times of its scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

LEAST_AGENTS, MOST_AGENTS = 2, 16
LEAST_SECONDS, MOST_SECONDS = 12.0, 600.0

NAMESPACE: Final = "demo"
PROVIDERS: Final = ("alpha", "bravo", "charlie")
HANGING, FAILING, LIMITED = PROVIDERS
"""What the scenario does to each: one hangs, one fails, one answers 429 and breaks off streams."""

_CALLS_A_SECOND: Final = 48.0
"""Of the whole fleet, for any number of agents, so that a laptop is not busy."""

_FAILS: Final = 0.13
_RECOVERS: Final = 0.36
_HANGS: Final = 0.5
"""When, as a share of the run's length, the upstream fails, recovers, and the other one hangs."""


class DemoError(Exception):
    """The demo cannot start or continue; the message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    agents: int
    seconds: float
    prompts: list[str]
    hold: bool

    @classmethod
    def checked(cls, agents: int, seconds: float, prompts: Path | None, *, hold: bool) -> Self:
        """The plan for these options.

        Raises:
            DemoError: An option is out of its bounds.
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
        """The names of the agents."""
        return [f"agent-{number}" for number in range(1, self.agents + 1)]

    @property
    def interval(self) -> float:
        """Seconds between two prompts of an agent."""
        return self.agents / _CALLS_A_SECOND

    @property
    def fails_at(self) -> float:
        """When the failing upstream begins to fail, in seconds after the first call."""
        return self.seconds * _FAILS

    @property
    def recovers_at(self) -> float:
        """When it recovers, at the earliest."""
        return self.seconds * _RECOVERS

    @property
    def hangs_at(self) -> float:
        """When another upstream begins to hang, at the earliest."""
        return self.seconds * _HANGS
