"""What has happened so far, as the processes and the event stream told it.

All times are seconds of CLOCK_MONOTONIC. It judges nothing; ``verdict`` does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.demo.messages import Bye, Call, Refused, Request, View

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

    provider: str
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

    calls: list[tuple[str, Call]] = field(default_factory=list[tuple[str, Call]])
    requests: list[tuple[str, Request]] = field(default_factory=list[tuple[str, Request]])
    refusals: list[tuple[str, Refused]] = field(default_factory=list[tuple[str, Refused]])
    views: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    sent: dict[str, int] = field(default_factory=dict[str, int])
    """How many requests each agent has sent, by its own count."""

    ids: dict[str, str] = field(default_factory=dict[str, str])
    """The agents by the ids of their registries."""

    lost: dict[str, str] = field(default_factory=dict[str, str])
    """Agents that ended by themselves, and how."""

    started: float = 0.0
    failing: float = 0.0
    well: dict[str, float] = field(default_factory=dict[str, float])
    """When each upstream that was made to fail or hang was made well again."""

    restored: float = 0.0
    """When all was as in the beginning."""

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
            case View():
                self.views[who, report.provider] = report.state
            case Bye():
                self.sent[who] = report.sent
            case _:
                pass

    def note_event(self, event: Event) -> None:
        """Take in a change of the shared state."""
        # The server's wall clock is this machine's, so it can be told in monotonic time.
        at = event.at / 1000 - self._offset
        state, end = _STATES.get(event.kind, ""), float("inf")
        if event.kind == "breaker_cooldown_started":
            state, end = "cooling", int(event.details["until"]) / 1000 - self._offset
        if not state:
            return
        for index, one in enumerate(self._periods):
            if one.provider == event.provider and one.end > at and state != "cooling":
                self._periods[index] = one._replace(end=at)
        by = self.ids.get(event.actor, event.actor)
        self._periods.append(Period(event.provider, state, at, end, event.id, by, event.reason))

    def periods(self, provider: str = "", *states: str) -> list[Period]:
        """The periods of one breaker after its first transition, or of all; or some of them."""
        return [
            one
            for one in self._periods
            if provider in {"", one.provider} and (not states or one.state in states)
        ]

    def openings(self, provider: str) -> list[Period]:
        """Each time that calls, not a probe, opened a breaker."""
        before = "closed"
        found: list[Period] = []
        for one in self.periods(provider, "closed", "open", "half_open"):
            if one.state == "open" and before == "closed":
                found.append(one)
            before = one.state
        return found

    def reopenings(self, provider: str) -> list[Period]:
        """Each time that a probe failed."""
        first = self.openings(provider)
        return [one for one in self.periods(provider, "open") if one not in first]

    def closed_again(self, provider: str) -> bool:
        """Whether it was open, and recovered."""
        return bool(self.periods(provider, "closed"))

    def received(self, provider: str, *endings: str) -> list[Request]:
        """The requests that an upstream has told of, or those that ended in one of these ways."""
        return [
            request
            for who, request in self.requests
            if who == provider and (not endings or request.ending in endings)
        ]

    @property
    def errors(self) -> list[Call]:
        """The calls of which the caller saw nothing but an error."""
        return [call for _, call in self.calls if call.error and not call.words]

    @property
    def cut_off(self) -> list[Call]:
        """The streams of which the caller saw the beginning, and then an error."""
        return [call for _, call in self.calls if call.error and call.words]

    @property
    def living(self) -> list[str]:
        """The agents that did not end by themselves."""
        return [one for one in self.agents if one not in self.lost]

    def refused_by(self, period: Period) -> dict[str, float]:
        """The agents that left the provider alone since this event, and how long after it."""
        return {
            who: max(0.0, refusal.at - period.start)
            for who, refusal in self.refusals
            if refusal.event == period.event
        }
