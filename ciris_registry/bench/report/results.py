"""What a run found: figures, each with what it is compared with and its target.

It defines ratio, target and met; it formats nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One figure. Its target, if any, bounds the ratio if there is one, and else the value."""

    name: str
    """Its key in JSON."""

    what: str
    value: float
    unit: str
    against: str = ""
    """What the ratio compares it with."""

    against_value: float | None = None
    """The value of that in the same rounds and unit."""

    ratio: float | None = None
    target: float | None = None
    at_least: bool = False
    """Whether the target is a lower bound."""

    note: str = ""

    @property
    def judged(self) -> float:
        """What the target bounds."""
        return self.value if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return self.judged >= self.target if self.at_least else self.judged <= self.target

    @property
    def share_of_target(self) -> float | None:
        """1 just meets the target; less is better, for either kind of bound."""
        if self.target is None:
            return None
        if self.at_least:
            return self.target / self.judged if self.judged else float("inf")
        return self.judged / self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All figures of one run, and where it ran."""

    server: str
    """Its name, version and URL."""

    own_server: bool
    """Whether the run started it, so that no other client can have used it."""

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
        for fields, one in zip(found["measurements"], self.measurements, strict=True):
            fields["met"] = one.met
        return {**found, "all_met": self.all_met}
