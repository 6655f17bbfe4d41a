"""What a run found: measurements, each with what it is compared with and what was hoped for.

Owns the meaning of ratio, target and met. It refuses to format anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One figure.

    The target, if there is one, is a bound of the ratio where there is a ratio, else of the value.
    """

    name: str
    """Its key in JSON."""

    what: str
    value: float
    unit: str
    against: str = ""
    """What the ratio compares it with."""

    against_value: float | None = None
    """Its value in the same rounds and unit."""

    ratio: float | None = None
    target: float | None = None
    at_least: bool = False
    """Whether the target is a lower bound."""

    note: str = ""

    @property
    def judged(self) -> float:
        """What the target is a bound of."""
        return self.value if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        return self.judged >= self.target if self.at_least else self.judged <= self.target

    @property
    def share_of_target(self) -> float | None:
        """1 just meets the target, and less is better, whichever kind of bound it is."""
        if self.target is None:
            return None
        if self.at_least:
            return self.target / self.judged if self.judged else float("inf")
        return self.judged / self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that one run found, and where."""

    server: str
    """What answered, in words."""

    own_server: bool
    """Whether nobody else can have used it."""

    python: str
    machine: str
    scale: float
    processes: int
    seconds: float
    measurements: list[Measurement] = field(default_factory=list[Measurement])

    @property
    def all_met(self) -> bool:
        """Whether no target was missed."""
        return all(one.met is not False for one in self.measurements)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self)
        for told, one in zip(found["measurements"], self.measurements, strict=True):
            told["met"] = one.met
        return {**found, "all_met": self.all_met}
