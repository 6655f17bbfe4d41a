"""Whether the guarantees held, each with the figure that says so.

A guarantee is judged by what upstreams and agents saw, not by what the registry says of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.demo.agent import BREAKER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciris_registry.demo.ledger import Ledger, Period
    from ciris_registry.demo.messages import Request

SOON: Final = 1.0
"""Seconds in which every process must refuse; it takes milliseconds where processors are free."""

_TICK: Final = 0.001
"""The server tells the time of an event in milliseconds, rounded down."""

_GOOD: Final = 200


class Check(NamedTuple):
    """One guarantee."""

    held: bool
    claim: str
    figure: str


def judge(ledger: Ledger) -> list[Check]:
    """Every guarantee of the demo."""
    return [
        _opening(ledger),
        _refusal(ledger),
        _silence(ledger),
        _probes(ledger),
        _trials(ledger),
        _reopening(ledger),
        _closing(ledger),
        _failures(ledger),
        _served(ledger),
        _turns(ledger),
        _books(ledger),
    ]


def _opening(ledger: Ledger) -> Check:
    claim = f"The fleet's {BREAKER.failure_threshold}th failure opens it"
    openings = ledger.openings
    if len(openings) != 1:
        return Check(held=False, claim=claim, figure=f"opened {len(openings)} times")
    opening = openings[0]
    own = [call for _, call in ledger.calls if call.provider == ledger.bad]
    before = [call for call in own if call.settled < opening.start]
    last_good = max((call.settled for call in before if call.good), default=0.0)
    streak = sum(not call.good and call.reporting > last_good for call in before)
    # The report that opened it is settled after the opening, so it is not among these.
    held = streak < BREAKER.failure_threshold
    # Whoever had asked before the opening was on the way.
    failed = sum(_failed(one) and one.asked <= opening.start + _TICK for one in _requests(ledger))
    extra = max(0, failed - BREAKER.failure_threshold)
    figure = f"{opening.reason}, {extra} more in flight"
    if not held:
        figure = f"{streak + 1} failures in a row"
    return Check(held=held, claim=claim, figure=figure)


def _refusal(ledger: Ledger) -> Check:
    claim = "Opened by one, refused by all"
    opening = next(iter(ledger.openings), None)
    refused = ledger.refused_by(opening) if opening is not None else {}
    living = ledger.living
    latest = max(refused.values(), default=0.0)
    held = bool(refused) and set(living) <= refused.keys() and latest < SOON
    figure = f"by {len(refused)} of {len(living)} processes within {latest * 1000:.0f} ms"
    return Check(held=held, claim=claim, figure=figure)


def _silence(ledger: Ledger) -> Check:
    open_periods = _over(ledger, "open")
    through = sum(
        period.start + _TICK < request.asked and request.arrived < period.end
        for period in open_periods
        for request in _requests(ledger)
    )
    seconds = sum(one.end - one.start for one in open_periods)
    return Check(
        held=bool(open_periods) and not through,
        claim="While OPEN, nothing reaches it",
        figure=f"{_calls(through)} in {seconds:.1f} s",
    )


def _probes(ledger: Ledger) -> Check:
    probes = [one for period in _over(ledger, "half_open") for one in _asked_in(ledger, period)]
    most = max((_at_once(probes, one.arrived) for one in probes), default=0)
    elsewhere = sum(
        call.provider != ledger.bad and period.holds(call.asked)
        for _, call in ledger.calls
        for period in _over(ledger, "half_open")
    )
    return Check(
        held=most == BREAKER.half_open_max_calls,
        claim="One probe at a time in the fleet",
        figure=f"{len(probes)} probes, {most} at a time; {elsewhere} calls elsewhere",
    )


def _trials(ledger: Ledger) -> Check:
    trials = passed = 0
    held = True
    for period in _over(ledger, "half_open"):
        chats = [
            one
            for one in _requests(ledger)
            if one.what == "chat"
            and period.holds(one.arrived)
            and one.asked > period.start - BREAKER.recovery_timeout / 2
        ]
        good = sum(one.status == _GOOD for one in _asked_in(ledger, period))
        held = held and len(chats) <= good
        trials += len(chats)
        passed += good
    return Check(
        held=held,
        claim="HALF_OPEN admits only who probed",
        figure=f"{_calls(trials)} after {passed} passed probes",
    )


def _reopening(ledger: Ledger) -> Check:
    times = len(ledger.reopenings)
    failed = sum(
        one.status != _GOOD
        for period in _over(ledger, "half_open")
        for one in _asked_in(ledger, period)
    )
    return Check(
        held=times > 0 and times == failed,
        claim="A failed probe opens it again",
        figure=f"{failed} failed, {times} re-openings",
    )


def _closing(ledger: Ledger) -> Check:
    claim = f"{BREAKER.success_threshold} good probes close it"
    closed = ledger.periods("closed")
    if len(closed) != 1 or not ledger.recovered:
        return Check(held=False, claim=claim, figure=f"closed {len(closed)} times")
    after = closed[0].start - ledger.recovered
    figure = f"{closed[0].reason}, {after:.1f} s after recovery"
    return Check(held=after > 0, claim=claim, figure=figure)


def _failures(ledger: Ledger) -> Check:
    opening = next(iter(ledger.openings), None)
    failed = [call for _, call in ledger.calls if not call.good]
    late = sum(opening is None or call.asked > opening.start + _TICK for call in failed)
    when = f"{late} of them after it had opened" if late else "chosen before it opened"
    return Check(
        held=not late,
        claim="Callers see no other failure",
        figure=f"{len(failed)} of {len(ledger.calls)} calls, {when}",
    )


def _served(ledger: Ledger) -> Check:
    unserved = len(ledger.unserved)
    figure = f"{len(ledger.calls)} of {len(ledger.calls) + unserved} callers got one"
    if unserved:
        figure += f": {ledger.unserved[0][1].why}"
    return Check(
        held=bool(ledger.calls) and not unserved, claim="There is always a provider", figure=figure
    )


def _turns(ledger: Ledger) -> Check:
    closed = ledger.periods("closed")
    before = _shares(ledger, ledger.started, ledger.failing)
    after = _shares(ledger, closed[-1].start if closed else ledger.ended, ledger.ended)
    # Who asks around the beginning or the end may be served on its other side.
    held = all(max(shares) - min(shares) <= len(ledger.agents) for shares in (before, after))
    told = ["/".join(map(str, shares)) for shares in (before, after)]
    return Check(
        held=held and min(after) > 0,
        claim="One round robin for all",
        figure=f"{told[0]} before, {told[1]} after",
    )


def _books(ledger: Ledger) -> Check:
    sent = len(ledger.calls)
    got = sum(one.what == "chat" for _, one in ledger.requests)
    # A process that was killed may have sent calls of which it could not tell.
    return Check(
        held=sent == got or (bool(ledger.lost) and sent <= got),
        claim="The books agree",
        figure=f"{sent} calls sent, {got} received",
    )


def _requests(ledger: Ledger) -> list[Request]:
    return [request for who, request in ledger.requests if who == ledger.bad]


def _failed(request: Request) -> bool:
    """Whether this is a call that was answered with an error."""
    return request.what == "chat" and request.status != _GOOD


def _over(ledger: Ledger, state: str) -> list[Period]:
    """The periods in a state, the last of them until the end of the demo."""
    return [one._replace(end=min(one.end, ledger.ended)) for one in ledger.periods(state)]


def _asked_in(ledger: Ledger, period: Period) -> list[Request]:
    """The health checks that arrived in a period; while HALF_OPEN, they are the probes."""
    return [one for one in _requests(ledger) if one.what == "health" and period.holds(one.arrived)]


def _at_once(requests: Sequence[Request], moment: float) -> int:
    return sum(one.arrived <= moment < one.left for one in requests)


def _shares(ledger: Ledger, start: float, end: float) -> list[int]:
    return [
        sum(call.provider == name and start <= call.asked < end for _, call in ledger.calls)
        for name in ledger.providers
    ]


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"
