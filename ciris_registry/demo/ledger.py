"""What has happened so far, as the processes and the event stream told it.

All times are seconds of CLOCK_MONOTONIC. It judges nothing; ``verdict`` does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.demo.messages import Call, Refused, Request, Unserved, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciris_registry import Event
    from ciris_registry.demo.messages import Report

_STATES = {
    "breaker_opened": "open",
    "breaker_half_opened": "half_open",
    "breaker_closed": "closed",
}


class Period(NamedTuple):
    """A breaker was in one state from ``start`` to ``end``, by the stream's word."""

    state: str
    start: float
    end: float
    event: str = ""
    by: str = ""
    reason: str = ""

    def holds(self, moment: float) -> bool:
        """Whether the moment lies in it."""
        return self.start <= moment < self.end


@dataclass
class Ledger:
    """Everything that was told, in order of arrival; pairs begin with who told it."""

    providers: Sequence[str]
    agents: Sequence[str]
    bad: str
    """The provider that is made to fail."""

    calls: list[tuple[str, Call]] = field(default_factory=list[tuple[str, Call]])
    requests: list[tuple[str, Request]] = field(default_factory=list[tuple[str, Request]])
    refusals: list[tuple[str, Refused]] = field(default_factory=list[tuple[str, Refused]])
    unserved: list[tuple[str, Unserved]] = field(default_factory=list[tuple[str, Unserved]])
    views: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    ids: dict[str, str] = field(default_factory=dict[str, str])
    """The agents by the ids of their registries."""

    lost: dict[str, str] = field(default_factory=dict[str, str])
    """Agents that ended by themselves, and how."""

    started: float = 0.0
    failing: float = 0.0
    recovered: float = 0.0
    ended: float = 0.0
    _periods: list[Period] = field(default_factory=list[Period])
    _offset: float = field(default_factory=lambda: time.time() - time.monotonic())

    def note(self, who: str, report: Report) -> None:
        """Take in what a process told."""
        match report:
            case Call():
                self.calls.append((who, report))
            case Request():
                self.requests.append((who, report))
            case Refused():
                self.refusals.append((who, report))
            case Unserved():
                self.unserved.append((who, report))
            case View():
                self.views[who, report.provider] = report.state
            case _:
                pass

    def note_event(self, event: Event) -> None:
        """Take in a change of the shared state."""
        state = _STATES.get(event.kind)
        if state is None or event.provider != self.bad:
            return
        # The server's wall clock is this machine's, so it can be told in monotonic time.
        at = event.at / 1000 - self._offset
        if self._periods:
            self._periods[-1] = self._periods[-1]._replace(end=at)
        by = self.ids.get(event.by, event.by)
        self._periods.append(Period(state, at, float("inf"), event.id, by, event.reason))

    def periods(self, *states: str) -> list[Period]:
        """The periods of the bad provider's breaker after its first transition, or some of them."""
        return [one for one in self._periods if not states or one.state in states]

    @property
    def openings(self) -> list[Period]:
        """Each time that calls, not a probe, opened it."""
        before = "closed"
        found: list[Period] = []
        for one in self._periods:
            if one.state == "open" and before == "closed":
                found.append(one)
            before = one.state
        return found

    @property
    def reopenings(self) -> list[Period]:
        """Each time that a probe failed."""
        first = self.openings
        return [one for one in self.periods("open") if one not in first]

    @property
    def living(self) -> list[str]:
        """The agents that did not end by themselves."""
        return [one for one in self.agents if one not in self.lost]

    def refused_by(self, opening: Period) -> dict[str, float]:
        """The agents that refused the provider after this opening, and how long after it."""
        return {
            who: max(0.0, refusal.at - opening.start)
            for who, refusal in self.refusals
            if refusal.event == opening.event
        }
