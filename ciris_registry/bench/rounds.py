"""Comparing calls on a noisy machine: short rounds in turn, and the median of each.

Whatever slows the machine down for a while slows down all contenders alike, so that their ratio
stays when their figures move. Garbage is collected between rounds and not inside them.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from ciris_registry.bench.plan import Plan

Call = Callable[[], Awaitable[Any]]
Tick = Callable[[float], None]
"""Is told which share of a step is done, never while something is timed."""

_WARM_UP: Final = 20
_MOST_CALLS: Final = 20_000
_PAUSE: Final = 0.001
"""Seconds for background tasks after each round."""


class Contender(NamedTuple):
    """One of the things that are compared."""

    name: str
    call: Call
    at_once: int = 1
    settle: Call | None = None
    """Ends what a round leaves behind, outside of the time that is taken."""


async def alternate(contenders: list[Contender], plan: Plan, tick: Tick) -> dict[str, float]:
    """The median seconds per call of each, by name; of calls at once, their number divided by."""
    sizes = {one.name: await _size(one, plan.round_seconds) for one in contenders}
    taken: dict[str, list[float]] = {one.name: [] for one in contenders}
    for number in range(plan.rounds):
        # Nobody is always first, or always behind the same one.
        first = number // 2 % len(contenders)
        order = contenders[first:] + contenders[:first]
        for one in order if number % 2 else reversed(order):
            times = sizes[one.name]
            taken[one.name].append(await _timed(one, times) / (times * one.at_once))
        tick((number + 1) / plan.rounds)
    return {name: median(found) for name, found in taken.items()}


async def _size(one: Contender, seconds: float) -> int:
    """How many calls make a round of that length."""
    await _timed(one, _WARM_UP)
    per_call = await _timed(one, _WARM_UP) / _WARM_UP
    return min(_MOST_CALLS, max(1, round(seconds / per_call)))


async def _timed(one: Contender, times: int) -> float:
    gc.disable()
    try:
        start = time.perf_counter()
        if one.at_once == 1:
            await _repeat(one.call, times)
        else:
            await asyncio.gather(*(_repeat(one.call, times) for _ in range(one.at_once)))
        taken = time.perf_counter() - start
    finally:
        gc.enable()
    if one.settle is not None:
        await one.settle()
    await asyncio.sleep(_PAUSE)
    return taken


async def _repeat(call: Call, times: int) -> None:
    for _ in range(times):
        await call()
