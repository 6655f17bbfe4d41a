"""Judges each guarantee, with the figure that shows it.

The evidence is what upstreams and agents reported, not what the registry reports about itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.demo.agent import BREAKER
from ciris_registry.demo.plan import FAILING, HANGING, LIMITED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciris_registry.demo.ledger import Ledger, Period
    from ciris_registry.demo.messages import Request

SOON: Final = 1.0
"""Seconds until every process must refuse; it takes milliseconds on an idle machine."""

_TICK: Final = 0.001
"""The server rounds an event's time down to a millisecond."""


class Check(NamedTuple):
    """One guarantee."""

    held: bool
    claim: str
    figure: str


def judge(ledger: Ledger) -> list[Check]:
    """Judge every guarantee of the demo."""
    return [
        _errors(ledger),
        _cut_off(ledger),
        _opening(ledger),
        _refusal(ledger),
        _open(ledger),
        _limit(ledger),
        _hanging(ledger),
        _probes(ledger),
        _reopening(ledger),
        _closing(ledger),
        _round_robin(ledger),
        _counts(ledger),
    ]


def _errors(ledger: Ledger) -> Check:
    errors, calls = ledger.errors, len(ledger.calls)
    failed = sum(request.ending != "answered" for _, request in ledger.requests)
    figure = f"{len(errors)} errors of {calls} calls; {failed} requests failed"
    if errors:
        figure += f": {errors[0].error}"
    return Check(
        held=bool(calls) and not errors,
        claim="Callers see no error",
        figure=figure,
    )


def _cut_off(ledger: Ledger) -> Check:
    early, late = (len(_all(ledger, ending)) for ending in ("cut_early", "cut_late"))
    seen = len(ledger.cut_off)
    return Check(
        held=early > 0 and seen == late > 0,
        claim="Only a started stream breaks off",
        figure=f"{seen} of {late} seen by callers; {early} others failed over",
    )


def _opening(ledger: Ledger) -> Check:
    threshold = BREAKER.failure_threshold
    claim = f"The fleet's {threshold}th failure opens it"
    openings = ledger.openings(FAILING)
    if len(openings) != 1:
        return Check(held=False, claim=claim, figure=f"opened {len(openings)} times")
    opening = openings[0]
    last_good = max(
        (one.left for one in ledger.received(FAILING, "answered") if one.left < opening.start),
        default=0.0,
    )
    failures = ledger.received(FAILING, "failed")
    before = sum(one.left <= opening.start + _TICK for one in failures)
    in_a_row = sorted(one.left for one in failures if one.left > last_good)[:threshold]
    late = opening.start - in_a_row[-1] if len(in_a_row) == threshold else 0.0
    known = _known(ledger, opening)
    failed = sum(one.sent <= known[one.agent] for one in failures)
    return Check(
        held=before >= threshold and late < SOON,
        claim=claim,
        figure=f"{opening.reason}, {max(0, failed - threshold)} more in flight",
    )


def _refusal(ledger: Ledger) -> Check:
    living = set(ledger.living)
    causes = [
        *ledger.openings(FAILING)[:1],
        *ledger.periods(LIMITED, "cooling")[:1],
        *ledger.openings(HANGING)[:1],
    ]
    refused = [ledger.refused_by(one) for one in causes]
    latest = [max(one.values(), default=0.0) for one in refused]
    agents = living.intersection(*refused)
    return Check(
        held=len(causes) == len((FAILING, LIMITED, HANGING))
        and agents == living != set()
        and max(latest) < SOON,
        claim="Refused by every process",
        figure=f"by {len(agents)} of {len(living)} processes within "
        + ", ".join(f"{seconds * 1000:.0f}" for seconds in latest)
        + " ms",
    )


def _open(ledger: Ledger) -> Check:
    through, seconds, times = 0, 0.0, 0
    for provider in (FAILING, HANGING):
        for period in _periods(ledger, provider, "open"):
            through += len(_through(ledger, period))
            seconds += period.end - period.start
            times += 1
    return Check(
        held=times > 0 and not through,
        claim="While OPEN, no call reaches it",
        figure=f"{_calls(through)} in {seconds:.1f} s",
    )


def _limit(ledger: Ledger) -> Check:
    claim = "A 429 is obeyed, not a failure"
    limits = ledger.received(LIMITED, "limited")
    cooling = ledger.periods(LIMITED, "cooling")
    if not limits or not cooling:
        return Check(held=False, claim=claim, figure="there was no cooldown")
    first = min(limits, key=lambda one: one.left)
    period = cooling[0]._replace(end=first.left + first.retry_after)
    through, opened = len(_through(ledger, period)), len(ledger.openings(LIMITED))
    figure = f"{_calls(through)} within its {first.retry_after} s, {len(limits)} in flight"
    return Check(
        held=not through and not opened,
        claim=claim,
        figure=figure + (f"; its breaker opened {opened} times" if opened else ""),
    )


def _hanging(ledger: Ledger) -> Check:
    threshold = BREAKER.failure_threshold
    claim = f"A hang costs {threshold} timeouts"
    openings, hung = (
        ledger.openings(HANGING),
        ledger.received(HANGING, "hung"),
    )
    if len(openings) != 1 or len(hung) < threshold:
        return Check(held=False, claim=claim, figure=f"opened {len(openings)} times")
    opening = openings[0]
    known = _known(ledger, opening)
    later = sum(one.sent > known[one.agent] for one in hung)
    fifth = sorted(one.left for one in hung)[threshold - 1]
    in_flight = sum(one.left > fifth for one in hung) - later
    slowest = max(call.ended - call.started for _, call in ledger.calls)
    return Check(
        held=not later and opening.start - fifth < SOON,
        claim=claim,
        figure=f"and {in_flight} in flight, {later} more; no call took over {slowest:.1f} s",
    )


def _probes(ledger: Ledger) -> Check:
    probes = most = elsewhere = 0
    for provider in (FAILING, HANGING):
        for period in _periods(ledger, provider, "half_open"):
            own = _probes_in(ledger, period)
            probes += len(own)
            most = max([most, *(_at_once(own, one.arrived) for one in own)])
            elsewhere += sum(
                upstream != provider and period.holds(one.sent) for upstream, one in ledger.requests
            )
    return Check(
        held=most == BREAKER.half_open_max_calls,
        claim="One probe at a time in the fleet",
        figure=f"{probes} probes, {most} at a time; {elsewhere} requests elsewhere",
    )


def _reopening(ledger: Ledger) -> Check:
    times = len(ledger.reopenings(FAILING))
    failed = sum(
        one.ending != "answered"
        for period in _periods(ledger, FAILING, "half_open")
        for one in _probes_in(ledger, period)
    )
    return Check(
        held=times > 0 and times == failed,
        claim="A failed probe opens it again",
        figure=f"{failed} failed, {times} re-openings",
    )


def _closing(ledger: Ledger) -> Check:
    needed = BREAKER.success_threshold
    figures, held = list[str](), True
    for provider in (FAILING, HANGING):
        closed = ledger.periods(provider, "closed")
        trials = _periods(ledger, provider, "half_open")
        good = sum(one.ending == "answered" for one in _probes_in(ledger, *trials[-1:]))
        if len(closed) != 1 or provider not in ledger.recovered:
            held = False
            figures.append(f"{provider} closed {len(closed)} times")
            continue
        after = closed[0].start - ledger.recovered[provider]
        held = held and after > 0 and good == needed
        figures.append(f"{provider} {after:.1f} s")
    return Check(
        held=held,
        claim=f"{needed} successful probes close it",
        figure=f"{', '.join(figures)} after recovery",
    )


def _round_robin(ledger: Ledger) -> Check:
    before = _shares(ledger, ledger.started, ledger.failing)
    after = _shares(ledger, ledger.restored, ledger.ended)
    # A call at the start or end of a period may be counted on either side of it.
    held = all(max(shares) - min(shares) <= len(ledger.agents) for shares in (before, after))
    shown = ["/".join(map(str, shares)) for shares in (before, after)]
    return Check(
        held=held and min(after) > 0,
        claim="One round robin for the fleet",
        figure=f"{shown[0]} before, {shown[1]} after",
    )


def _counts(ledger: Ledger) -> Check:
    # A process that was killed did not report its count.
    sent = sum(ledger.sent.values())
    got = sum(one.agent in ledger.sent for _, one in ledger.requests)
    return Check(
        held=sent == got and ledger.sent.keys() >= set(ledger.living),
        claim="Sent equals received",
        figure=f"{sent} requests sent, {got} received",
    )


def _known(ledger: Ledger, period: Period) -> dict[str, float]:
    """When each agent refused the provider; without a report, when it must at the latest."""
    delays = ledger.refused_by(period)
    return {one: period.start + _TICK + delays.get(one, SOON) for one in ledger.agents}


def _through(ledger: Ledger, period: Period) -> list[Request]:
    """The requests that an agent sent although it knew that the provider must not be called."""
    known = _known(ledger, period)
    return [
        one
        for one in ledger.received(period.provider)
        if one.sent > known[one.agent] and one.arrived < period.end
    ]


def _periods(ledger: Ledger, provider: str, state: str) -> list[Period]:
    """A breaker's periods in a state, cut off at the end of the demo."""
    found = ledger.periods(provider, state)
    return [one._replace(end=min(one.end, ledger.ended)) for one in found]


def _probes_in(ledger: Ledger, *periods: Period) -> list[Request]:
    """The requests of HALF_OPEN periods, which are the probes."""
    return [
        one
        for period in periods
        for one in ledger.received(period.provider)
        if period.start - _TICK <= one.sent and period.holds(one.arrived)
    ]


def _all(ledger: Ledger, ending: str) -> list[Request]:
    return [one for _, one in ledger.requests if one.ending == ending]


def _at_once(requests: Sequence[Request], moment: float) -> int:
    return sum(one.arrived <= moment < one.answered for one in requests)


def _shares(ledger: Ledger, start: float, end: float) -> list[int]:
    return [
        sum(start <= one.sent < end for one in ledger.received(name)) for name in ledger.providers
    ]


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"
