"""What a guarded call costs, and what is in it: a cached resolve and the report of its success.

The time is what the caller waits. What the registry writes in the background, it writes outside
of that time; so the commands are counted too, over calls at a steady rate.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.bare import bare_call
from ciris_registry.bench.commands import CommandCount
from ciris_registry.bench.pool import HANDLER, WANTED, Client, register_ranked
from ciris_registry.bench.results import Measurement
from ciris_registry.bench.rounds import Contender, alternate

if TYPE_CHECKING:
    from ciris_registry.bench.place import Place
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.rounds import Call, Tick
    from ciris_registry.registry import ServiceRegistry

_SERVICE: Final = "guarded"
_A_SECOND: Final = 1000
_EVERY: Final = 0.01
_MOST_OVERTIME: Final = 1.5
_COUNTED: Final = 10.0
"""Seconds that the target of the count speaks of."""


async def measure_guarded(place: Place, plan: Plan, tick: Tick) -> list[Measurement]:
    """The time of one call beside one round trip, and the commands of many."""
    bare = await bare_call(place)
    async with place.registry() as registry:
        register_ranked(registry, _SERVICE, 5)
        await registry.flush()
        guarded = _guarded(registry)
        called = _called(registry)
        taken = await alternate(
            [
                Contender("bare", bare),
                Contender("guarded", guarded, settle=registry.flush),
                Contender("nothing", partial(_work, None)),
                Contender("called", called, settle=registry.flush),
            ],
            plan,
            lambda share: tick(share * 0.2),
        )
        counting = await CommandCount.begin(place)
        calls, seconds = await _steadily(called, plan.counted_seconds, tick)
        sent = await counting.since()
    listed = ", ".join(f"{number} {name}" for name, number in sent.items()) or "none"
    whose = "" if place.own else "; others' on this server among them"
    return [
        Measurement(
            name="guarded_outcome",
            what="cached resolve and its success reported",
            value=taken["guarded"] * 1e6,
            unit="µs",
            against="bare EVALSHA",
            against_value=taken["bare"] * 1e6,
            ratio=taken["guarded"] / taken["bare"],
            target=0.1,
        ),
        Measurement(
            name="guarded_call",
            what="what registry.call adds to a call",
            value=(taken["called"] - taken["nothing"]) * 1e6,
            unit="µs",
            target=15.0,
            note=f"the call itself takes {taken['nothing'] * 1e6:.2f} µs",
        ),
        Measurement(
            name="guarded_commands",
            what=f"commands of {_A_SECOND} such calls a second",
            value=sum(sent.values()) * _COUNTED * max(1 / seconds, _A_SECOND / calls),
            unit=f"in {_COUNTED:.0f} s",
            target=60.0,
            note=f"{calls} calls in {seconds:.1f} s sent {listed}{whose}",
        ),
    ]


def _guarded(registry: ServiceRegistry) -> Call:
    wanted = list(WANTED)

    async def guarded() -> None:
        client: Client = await registry.get_service(HANDLER, _SERVICE, wanted)
        registry.breaker(_SERVICE, client.name).record_success()

    return guarded


def _called(registry: ServiceRegistry) -> Call:
    wanted = list(WANTED)
    return lambda: registry.call(HANDLER, _SERVICE, _work, required_capabilities=wanted)


async def _work(_client: Client | None) -> None:
    """What is called."""


async def _steadily(guarded: Call, seconds: float, tick: Tick) -> tuple[int, float]:
    """Make calls at a steady rate; how many, and the seconds that it took.

    Where a call takes too long for that rate, there are fewer in a little more time.
    """
    start = time.monotonic()
    wanted, done, spent = round(seconds * _A_SECOND), 0, 0.0
    while done < wanted and spent < seconds * _MOST_OVERTIME:
        if done < spent * _A_SECOND:
            await guarded()
            done += 1
        else:
            tick(0.2 + 0.8 * done / wanted)
            await asyncio.sleep(_EVERY)
        spent = time.monotonic() - start
    return done, spent
