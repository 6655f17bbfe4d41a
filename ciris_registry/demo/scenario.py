"""The scenario: one upstream fails, one answers 429, one hangs, and streams break off."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.demo.agent import BREAKER
from ciris_registry.demo.plan import FAILING, HANGING, LIMITED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.demo.ledger import Ledger, Period
    from ciris_registry.demo.plan import Plan
    from ciris_registry.demo.processes import Processes
    from ciris_registry.demo.screen import Screen

_FRAME: Final = 0.05
_TIMEOUT: Final = 5.0
"""Seconds that each step waits for its effect; without it the guarantees are judged broken."""

_LIMITED_AFTER: Final = 0.6
_LIMIT: Final = 2
_RECOVERS_AFTER: Final = 0.3
_EVEN: Final = 2.0
"""Seconds of traffic after the last recovery, at least, to count the round robin's shares."""

_CUT_EARLY, _CUT_LATE = 3, 1
"""Streams that break off: fewer than open a breaker."""


class Scenario:
    """One run of the scenario, with processes that have started."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        processes: Processes,
        screen: Screen,
        released: asyncio.Event,
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._processes = processes
        self._screen = screen
        self._released = released
        self._announced = 0
        self._refused: set[str] = set()

    async def run(self) -> None:
        """Run it to its end."""
        ledger, screen = self._ledger, self._screen
        ledger.started = time.monotonic()
        self._processes.start_calls()
        self._phase(1, "all upstreams answer")
        await self._sleep_until(ledger.started + self._plan.fails_at)
        await self._first_fails()
        await self._second_limits()
        await self._first_recovers()
        await self._third_hangs()
        await self._streams_break_off()
        await self._wait_for(lambda: ledger.closed_again(HANGING))

        ledger.restored = time.monotonic()
        self._phase(7, "all upstreams answer again")
        await self._sleep_until(max(ledger.started + self._plan.seconds, ledger.restored + _EVEN))
        if self._plan.hold:
            screen.show("         holding; press Ctrl-C for the summary", "bold")
            await self._wait(self._released.is_set, float("inf"))

        ledger.ended = time.monotonic()
        await self._processes.stop_agents()
        self._show_periods()

    async def _first_fails(self) -> None:
        self._ledger.failing = time.monotonic()
        await self._processes.control(FAILING, fails=True)
        self._phase(2, f"{FAILING} answers 500; calls fail over to the others")
        await self._wait_for(lambda: bool(self._ledger.openings(FAILING)))
        await self._sleep_until(time.monotonic() + _LIMITED_AFTER)

    async def _second_limits(self) -> None:
        await self._processes.control(LIMITED, limits=_LIMIT)
        what = f"answers 429 with Retry-After: {_LIMIT}; {HANGING} serves all calls"
        self._phase(3, f"{LIMITED} {what}")
        await self._wait_for(lambda: bool(self._ledger.periods(LIMITED, "cooling")))

    async def _first_recovers(self) -> None:
        ledger = self._ledger
        await self._sleep_until(ledger.started + self._plan.recovers_at)
        await self._wait_for(lambda: bool(ledger.reopenings(FAILING)))
        ledger.recovered[FAILING] = time.monotonic()
        await self._processes.control(FAILING)
        self._phase(4, f"{FAILING} answers again; callers' calls are its probes")
        await self._wait_for(lambda: ledger.closed_again(FAILING))

    async def _third_hangs(self) -> None:
        ledger = self._ledger
        await self._sleep_until(ledger.started + self._plan.hangs_at)
        await self._processes.control(HANGING, hangs=True)
        what = f"does not answer; a call times out after {BREAKER.timeout_duration} s"
        self._phase(5, f"{HANGING} {what}, then fails over")
        await self._wait_for(lambda: bool(ledger.openings(HANGING)))
        await self._sleep_until(time.monotonic() + _RECOVERS_AFTER)
        ledger.recovered[HANGING] = time.monotonic()
        await self._processes.control(HANGING)

    async def _streams_break_off(self) -> None:
        await self._processes.control(LIMITED, cuts_early=_CUT_EARLY, cuts_late=_CUT_LATE)
        what = f"{_CUT_EARLY} before the first word, {_CUT_LATE} after it"
        self._phase(6, f"{LIMITED} breaks off streams: {what}")
        cut = _CUT_EARLY + _CUT_LATE
        await self._wait_for(
            lambda: len(self._ledger.received(LIMITED, "cut_early", "cut_late")) == cut
        )

    def _phase(self, number: int, what: str) -> None:
        self._show_periods()
        self._screen.show(f"PHASE {number}  {what}", "bold")

    async def _sleep_until(self, moment: float) -> None:
        await self._wait(lambda: False, moment)

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        await self._wait(condition, time.monotonic() + _TIMEOUT)

    async def _wait(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition() and time.monotonic() < deadline:
            self._processes.check()
            self._show_periods()
            self._screen.tick()
            await asyncio.sleep(min(_FRAME, max(0.0, deadline - time.monotonic())))

    def _show_periods(self) -> None:
        """Show the breakers' transitions since the last time."""
        periods = self._ledger.periods()
        for period in periods[self._announced :]:
            self._screen.show(*_headline(period), at=period.start)
        self._announced = len(periods)
        for period in periods:
            refused = self._ledger.refused_by(period)
            if period.event not in self._refused and refused.keys() >= set(self._ledger.living):
                self._refused.add(period.event)
                latest = max(refused.values())
                how = f"refused by all {len(refused)} processes {latest * 1000:.0f} ms later"
                self._screen.show(f"         {how}", at=period.start + latest)


def _headline(period: Period) -> tuple[str, str]:
    name, why = period.provider, f"({period.actor}: {period.reason})"
    match period.state:
        case "open":
            return f"         {name} OPEN  {why}", "bold red"
        case "half_open":
            return f"         {name} HALF_OPEN  ({period.actor} has the only permit)", "yellow"
        case "cooling":
            seconds = period.end - period.start
            return f"         {name} COOLS DOWN for {seconds:.1f} s  {why}", "bold blue"
        case _:
            return f"         {name} CLOSED  {why}", "bold green"
