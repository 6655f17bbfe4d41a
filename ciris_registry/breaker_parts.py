"""The parts of one registry that act on breakers, each made once; later ones use earlier ones.

Owns nothing but them. They refuse to know which breakers there are: each method is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.shared_breaker import (
    Admissions,
    BreakerWrites,
    Cooldowns,
    Outcomes,
    Overrides,
    OwnTrials,
)

if TYPE_CHECKING:
    from ciris_registry.parts import Parts


class BreakerParts:
    """What is done here about any breaker; which one, each method is told."""

    def __init__(self, parts: Parts) -> None:
        self.own_trials = OwnTrials(parts)
        self.writes = BreakerWrites(self.own_trials, parts)
        self.outcomes = Outcomes(self.own_trials, self.writes, parts)
        self.admissions = Admissions(self.own_trials, self.writes, parts)
        self.cooldowns = Cooldowns(self.writes, parts)
        self.overrides = Overrides(self.writes, parts)
