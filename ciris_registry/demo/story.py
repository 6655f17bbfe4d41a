"""What happens, in which order: well, failing, down, well again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.demo.plan import BAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.demo.ledger import Ledger, Period
    from ciris_registry.demo.plan import Plan
    from ciris_registry.demo.screen import Screen
    from ciris_registry.demo.stage import Stage

_FRAME: Final = 0.05
_PATIENCE: Final = 5.0
"""Seconds for something that should have happened long ago; the verdict says that it did not."""

_DOWN_AFTER: Final = 0.6
_EVEN: Final = 2.0
"""Seconds of traffic after the recovery at the least, so that its shares can be counted."""


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
        ledger, stage, screen = self._ledger, self._stage, self._screen
        ledger.started = time.monotonic()
        stage.go()
        screen.say("PHASE 1  all upstreams are well", "bold")
        await self._until(ledger.started + self._plan.fails_at)

        ledger.failing = time.monotonic()
        await stage.control(chat=500)
        screen.say(f"PHASE 2  {BAD} answers chats with 500; its /health still says ok", "bold")
        await self._happens(lambda: bool(ledger.openings))
        await self._until(time.monotonic() + _DOWN_AFTER)
        await stage.control(health=503)
        screen.say(f"         {BAD} is down for good: /health fails too")
        await self._until(ledger.started + self._plan.recovers_at)
        await self._happens(lambda: bool(ledger.reopenings))

        ledger.recovered = time.monotonic()
        await stage.control(chat=200, health=200)
        screen.say(f"PHASE 3  {BAD} is well again", "bold")
        await self._happens(lambda: bool(ledger.periods("closed")))
        await self._until(max(ledger.started + self._plan.seconds, time.monotonic() + _EVEN))
        if self._plan.hold:
            screen.say("         holding: look around, and press Ctrl-C for the summary", "bold")
            await self._wait(self._enough.is_set, float("inf"))

        ledger.ended = time.monotonic()
        await stage.finish()
        self._news()

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
        """Tell what the breaker did since the last time."""
        periods = self._ledger.periods()
        for period in periods[self._told :]:
            self._screen.say(*_headline(period), at=period.start)
        self._told = len(periods)
        for opening in periods:
            refused = self._ledger.refused_by(opening)
            if opening.event not in self._refused and refused.keys() >= set(self._ledger.living):
                self._refused.add(opening.event)
                latest = max(refused.values())
                how = f"refused by all {len(refused)} processes {latest * 1000:.0f} ms later"
                self._screen.say(f"         {how}", at=opening.start + latest)


def _headline(period: Period) -> tuple[str, str]:
    told = f"({period.by}: {period.reason})"
    match period.state:
        case "open":
            return f"         {BAD} OPEN  {told}", "bold red"
        case "half_open":
            return f"         {BAD} HALF_OPEN  ({period.by} has the one permit)", "yellow"
        case _:
            return f"         {BAD} CLOSED  {told}", "bold green"
