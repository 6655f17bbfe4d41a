"""The parts of one registry that act on breakers, each made once; later ones use earlier ones.

Owns nothing but them. They refuse to know which breakers there are: each method is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.shared_breaker import (
    BreakerAdmission,
    BreakerWrites,
    Cooldowns,
    LocalTrips,
    Overrides,
    Reporting,
)

if TYPE_CHECKING:
    from ciris_registry.parts import Parts


class BreakerParts:
    """What is done here about any breaker; which one, each method is told."""

    def __init__(self, parts: Parts) -> None:
        self.local_trips = LocalTrips(parts)
        self.writes = BreakerWrites(self.local_trips, parts)
        self.outcomes = Reporting(self.local_trips, self.writes, parts)
        self.admissions = BreakerAdmission(self.local_trips, self.writes, parts)
        self.cooldowns = Cooldowns(self.writes, parts)
        self.overrides = Overrides(self.writes, parts)
