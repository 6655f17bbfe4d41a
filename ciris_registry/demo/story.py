"""What happens, in which order: one upstream fails, one limits its callers, one hangs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.demo.agent import BREAKER
from ciris_registry.demo.plan import BAD, HANGING, LIMITED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.demo.ledger import Ledger, Period
    from ciris_registry.demo.plan import Plan
    from ciris_registry.demo.screen import Screen
    from ciris_registry.demo.stage import Stage

_FRAME: Final = 0.05
_PATIENCE: Final = 5.0
"""Seconds for something that should have happened long ago; the verdict says that it did not."""

_LIMITED_AFTER: Final = 0.6
_LIMIT: Final = 2
_WELL_AFTER: Final = 0.3
_EVEN: Final = 2.0
"""Seconds of traffic after the recovery at the least, so that its shares can be counted."""

_CUT_EARLY, _CUT_LATE = 3, 1
"""Streams that break off: fewer than open a breaker."""


class Story:
    """One performance on a stage that is open."""

    def __init__(
        self, plan: Plan, ledger: Ledger, stage: Stage, screen: Screen, enough: asyncio.Event
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._stage = stage
        self._screen = screen
        self._enough = enough
        self._told = 0
        self._refused: set[str] = set()

    async def play(self) -> None:
        """Play it to its end."""
        ledger, screen = self._ledger, self._screen
        ledger.started = time.monotonic()
        self._stage.go()
        self._phase(1, "all upstreams are well")
        await self._until(ledger.started + self._plan.fails_at)
        await self._one_fails()
        await self._another_limits()
        await self._the_first_recovers()
        await self._a_third_hangs()
        await self._streams_break_off()
        await self._happens(lambda: ledger.closed_again(HANGING))

        ledger.restored = time.monotonic()
        self._phase(7, "all upstreams are well again")
        await self._until(max(ledger.started + self._plan.seconds, ledger.restored + _EVEN))
        if self._plan.hold:
            screen.say("         holding: look around, and press Ctrl-C for the summary", "bold")
            await self._wait(self._enough.is_set, float("inf"))

        ledger.ended = time.monotonic()
        await self._stage.finish()
        self._news()

    async def _one_fails(self) -> None:
        self._ledger.failing = time.monotonic()
        await self._stage.control(BAD, fails=True)
        self._phase(2, f"{BAD} answers 500; its callers are served by others")
        await self._happens(lambda: bool(self._ledger.openings(BAD)))
        await self._until(time.monotonic() + _LIMITED_AFTER)

    async def _another_limits(self) -> None:
        await self._stage.control(LIMITED, limits=_LIMIT)
        told = f"answers 429 with Retry-After: {_LIMIT}; {HANGING} serves all"
        self._phase(3, f"{LIMITED} {told}")
        await self._happens(lambda: bool(self._ledger.periods(LIMITED, "cooling")))

    async def _the_first_recovers(self) -> None:
        ledger = self._ledger
        await self._until(ledger.started + self._plan.recovers_at)
        await self._happens(lambda: bool(ledger.reopenings(BAD)))
        ledger.well[BAD] = time.monotonic()
        await self._stage.control(BAD)
        self._phase(4, f"{BAD} is well again; callers' calls are its probes")
        await self._happens(lambda: ledger.closed_again(BAD))

    async def _a_third_hangs(self) -> None:
        ledger = self._ledger
        await self._until(ledger.started + self._plan.hangs_at)
        await self._stage.control(HANGING, hangs=True)
        told = f"does not answer; a call waits {BREAKER.timeout_duration} s, then goes elsewhere"
        self._phase(5, f"{HANGING} {told}")
        await self._happens(lambda: bool(ledger.openings(HANGING)))
        await self._until(time.monotonic() + _WELL_AFTER)
        ledger.well[HANGING] = time.monotonic()
        await self._stage.control(HANGING)

    async def _streams_break_off(self) -> None:
        await self._stage.control(LIMITED, cuts_early=_CUT_EARLY, cuts_late=_CUT_LATE)
        told = f"{_CUT_EARLY} before a word, {_CUT_LATE} after one"
        self._phase(6, f"{LIMITED} breaks off streams: {told}")
        cut = _CUT_EARLY + _CUT_LATE
        await self._happens(
            lambda: len(self._ledger.received(LIMITED, "cut_early", "cut_late")) == cut
        )

    def _phase(self, number: int, told: str) -> None:
        self._news()
        self._screen.say(f"PHASE {number}  {told}", "bold")

    async def _until(self, moment: float) -> None:
        await self._wait(lambda: False, moment)

    async def _happens(self, condition: Callable[[], bool]) -> None:
        await self._wait(condition, time.monotonic() + _PATIENCE)

    async def _wait(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition() and time.monotonic() < deadline:
            self._stage.check()
            self._news()
            self._screen.tick()
            await asyncio.sleep(min(_FRAME, max(0.0, deadline - time.monotonic())))

    def _news(self) -> None:
        """Tell what the breakers did since the last time."""
        periods = self._ledger.periods()
        for period in periods[self._told :]:
            self._screen.say(*_headline(period), at=period.start)
        self._told = len(periods)
        for period in periods:
            refused = self._ledger.refused_by(period)
            if period.event not in self._refused and refused.keys() >= set(self._ledger.living):
                self._refused.add(period.event)
                latest = max(refused.values())
                how = f"left alone by all {len(refused)} processes {latest * 1000:.0f} ms later"
                self._screen.say(f"         {how}", at=period.start + latest)


def _headline(period: Period) -> tuple[str, str]:
    who, told = period.provider, f"({period.by}: {period.reason})"
    match period.state:
        case "open":
            return f"         {who} OPEN  {told}", "bold red"
        case "half_open":
            return f"         {who} HALF_OPEN  ({period.by} has the one permit)", "yellow"
        case "cooling":
            seconds = period.end - period.start
            return f"         {who} COOLS DOWN for {seconds:.1f} s  {told}", "bold blue"
        case _:
            return f"         {who} CLOSED  {told}", "bold green"
