"""A record of the run: what the processes reported and what the event stream said.

All times are seconds of CLOCK_MONOTONIC. ``guarantees`` judges the record.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.demo.messages import Call, Left, Refused, Request, View

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
    """A breaker was in one state from ``start`` to ``end``, according to the event stream."""

    provider: str
    state: str
    start: float
    end: float
    event: str = ""
    actor: str = ""
    reason: str = ""

    def holds(self, moment: float) -> bool:
        """Whether the moment lies in it."""
        return self.start <= moment < self.end


@dataclass
class Ledger:
    """All reports in order of arrival; each pair begins with the name of the reporting process."""

    providers: Sequence[str]
    agents: Sequence[str]

    calls: list[tuple[str, Call]] = field(default_factory=list[tuple[str, Call]])
    requests: list[tuple[str, Request]] = field(default_factory=list[tuple[str, Request]])
    refusals: list[tuple[str, Refused]] = field(default_factory=list[tuple[str, Refused]])
    views: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    sent: dict[str, int] = field(default_factory=dict[str, int])
    """How many requests each agent has sent, by its own count."""

    ids: dict[str, str] = field(default_factory=dict[str, str])
    """The agents' names by the process ids of their registries."""

    lost: dict[str, str] = field(default_factory=dict[str, str])
    """Agents that ended by themselves, and how."""

    started: float = 0.0
    failing: float = 0.0
    recovered: dict[str, float] = field(default_factory=dict[str, float])
    """When each upstream that was made to fail or hang recovered."""

    restored: float = 0.0
    """When every upstream had recovered and every breaker was closed."""

    ended: float = 0.0
    _periods: list[Period] = field(default_factory=list[Period])
    _offset: float = field(default_factory=lambda: time.time() - time.monotonic())

    def note(self, process: str, report: Report) -> None:
        """Record a report of a process."""
        match report:
            case Call():
                self.calls.append((process, report))
            case Request():
                self.requests.append((process, report))
            case Refused():
                self.refusals.append((process, report))
            case View():
                self.views[process, report.provider] = report.state
            case Left():
                self.sent[process] = report.sent
            case _:
                pass

    def note_event(self, event: Event) -> None:
        """Record an event of the stream."""
        # The server runs on this machine, so its wall clock converts to monotonic time.
        at = event.at / 1000 - self._offset
        state, end = _STATES.get(event.kind, ""), float("inf")
        if event.kind == "breaker_cooldown_started":
            state, end = "cooling", int(event.details["until"]) / 1000 - self._offset
        if not state:
            return
        for index, one in enumerate(self._periods):
            if one.provider == event.provider and one.end > at and state != "cooling":
                self._periods[index] = one._replace(end=at)
        actor = self.ids.get(event.actor, event.actor)
        self._periods.append(Period(event.provider, state, at, end, event.id, actor, event.reason))

    def periods(self, provider: str = "", *states: str) -> list[Period]:
        """The periods of one breaker or all, or those in some states."""
        return [
            one
            for one in self._periods
            if provider in {"", one.provider} and (not states or one.state in states)
        ]

    def openings(self, provider: str) -> list[Period]:
        """The periods that calls, not a probe, opened."""
        before = "closed"
        found: list[Period] = []
        for one in self.periods(provider, "closed", "open", "half_open"):
            if one.state == "open" and before == "closed":
                found.append(one)
            before = one.state
        return found

    def reopenings(self, provider: str) -> list[Period]:
        """The periods that a failed probe opened."""
        first = self.openings(provider)
        return [one for one in self.periods(provider, "open") if one not in first]

    def closed_again(self, provider: str) -> bool:
        """Whether the breaker was open and has closed."""
        return bool(self.periods(provider, "closed"))

    def received(self, provider: str, *endings: str) -> list[Request]:
        """The requests that an upstream reported, or those of them with one of these endings."""
        return [
            request
            for upstream, request in self.requests
            if upstream == provider and (not endings or request.ending in endings)
        ]

    @property
    def errors(self) -> list[Call]:
        """The calls that raised an error to the caller before anything else."""
        return [call for _, call in self.calls if call.error and not call.words]

    @property
    def cut_off(self) -> list[Call]:
        """The streams that raised an error after their first word."""
        return [call for _, call in self.calls if call.error and call.words]

    @property
    def living(self) -> list[str]:
        """The agents that did not end by themselves."""
        return [one for one in self.agents if one not in self.lost]

    def refused_by(self, period: Period) -> dict[str, float]:
        """How long after this event each agent refused the provider."""
        return {
            agent: max(0.0, refusal.at - period.start)
            for agent, refusal in self.refusals
            if refusal.event == period.event
        }
