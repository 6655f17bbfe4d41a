"""Compares calls on a noisy machine: short alternating rounds, and medians over them.

A slowdown of the machine affects all contenders of a round alike, so ratios are taken within
rounds. Calls that wait for nothing are compared by processor time, which other programs on a busy
machine do not lengthen. Garbage is collected between rounds and not inside them.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ciris_registry.bench.report import Measurement

if TYPE_CHECKING:
    from ciris_registry.bench.plan import Plan, Progress

Call = Callable[[], Awaitable[Any]]
Clock = Callable[[], float]

_WARM_UP: Final = 20
_MOST_CALLS: Final = 20_000
_PAUSE: Final = 0.001
"""Seconds for background tasks after each round."""


class Contender(NamedTuple):
    """One of the calls that are compared."""

    name: str
    call: Call
    at_once: int = 1
    settle: Call | None = None
    """Finishes background work after a round; its time is not counted."""


@dataclass(frozen=True, slots=True)
class Timings:
    """The seconds per call of each contender, by name, in each round."""

    rounds: Mapping[str, Sequence[float]]

    def seconds(self, name: str) -> float:
        """The median seconds per call."""
        return median(self.rounds[name])

    def ratio(self, name: str, beside: str) -> float:
        """The median of the ratios within each round."""
        both = zip(self.rounds[name], self.rounds[beside], strict=True)
        return median(one / other for one, other in both)

    def microseconds(self, contender: str, *, name: str, what: str, note: str = "") -> Measurement:
        """The figure of one contender."""
        return Measurement(
            name=name, what=what, value=self.seconds(contender) * 1e6, unit="µs", note=note
        )

    def compared(
        self, contender: str, beside: str, *, name: str, what: str, against: str, target: float
    ) -> Measurement:
        """The figure of one contender beside another one."""
        return Measurement(
            name=name,
            what=what,
            value=self.seconds(contender) * 1e6,
            unit="µs",
            against=against,
            against_value=self.seconds(beside) * 1e6,
            ratio=self.ratio(contender, beside),
            target=target,
        )


async def compare(
    contenders: list[Contender],
    plan: Plan,
    progress: Progress,
    clock: Clock = time.perf_counter,
) -> Timings:
    """Time all contenders, each once a round."""
    sizes = {one.name: await _size(one, plan.round_seconds, clock) for one in contenders}
    taken: dict[str, list[float]] = {one.name: [] for one in contenders}
    for number in range(plan.rounds):
        # The order varies, so that no contender is always first or always after the same one.
        first = number // 2 % len(contenders)
        order = contenders[first:] + contenders[:first]
        for one in order if number % 2 else reversed(order):
            times = sizes[one.name]
            taken[one.name].append(await _timed(one, times, clock) / (times * one.at_once))
        progress((number + 1) / plan.rounds)
    return Timings(taken)


async def _size(one: Contender, seconds: float, clock: Clock) -> int:
    """How many calls make a round of that length."""
    await _timed(one, _WARM_UP, clock)
    per_call = await _timed(one, _WARM_UP, clock) / _WARM_UP
    return min(_MOST_CALLS, max(1, round(seconds / per_call)))


async def _timed(one: Contender, times: int, clock: Clock) -> float:
    gc.disable()
    try:
        start = clock()
        if one.at_once == 1:
            await _repeat(one.call, times)
        else:
            await asyncio.gather(*(_repeat(one.call, times) for _ in range(one.at_once)))
        taken = clock() - start
    finally:
        gc.enable()
    if one.settle is not None:
        await one.settle()
    await asyncio.sleep(_PAUSE)
    return taken


async def _repeat(call: Call, times: int) -> None:
    for _ in range(times):
        await call()
