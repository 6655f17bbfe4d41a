"""A cached ``registry.call``, and a cached resolve with the report of its success.

The time is what the caller waits. What the registry writes in the background is outside of that
time, so its commands are counted too, over calls at a steady rate.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.measurements.bare_evalsha import bare_evalsha
from ciris_registry.bench.measurements.command_count import CommandCount
from ciris_registry.bench.measurements.comparison import Contender, compare
from ciris_registry.bench.measurements.interlock_call import beside_interlock, interlock_call
from ciris_registry.bench.providers import HANDLER, REQUIRED, Client, register_ranked
from ciris_registry.bench.report import Measurement

if TYPE_CHECKING:
    from ciris_registry.bench.measurements.comparison import Call
    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.bench.server import Server
    from ciris_registry.registry import ServiceRegistry

_SERVICE: Final = "called"
_PER_SECOND: Final = 1000
_POLL: Final = 0.01
_MOST_OVERTIME: Final = 1.5
_COUNTED: Final = 10.0
"""Seconds that the target of the count is for."""


async def measure_calls(server: Server, plan: Plan, progress: Progress) -> list[Measurement]:
    """The time of one call beside a round trip and beside interlock; the commands of many."""
    bare = await bare_evalsha(server)
    interlock = interlock_call(_work)
    async with server.registry() as registry:
        register_ranked(registry, _SERVICE, 5)
        await registry.flush()
        call = _call(registry)
        reports = await compare(
            [
                Contender("bare", bare),
                Contender("reported", _resolve_and_report(registry), settle=registry.flush),
            ],
            plan,
            lambda share: progress(share * 0.1),
        )
        contenders = [
            Contender("nothing", partial(_work, None)),
            Contender("call", call, settle=registry.flush),
        ]
        if interlock is not None:
            contenders.append(Contender("interlock", partial(interlock.call, None)))
        timings = await compare(
            contenders, plan, lambda share: progress(0.1 + share * 0.1), clock=time.process_time
        )
        counting = await CommandCount.begin(server)
        calls, took = await _steadily(call, plan.counted_seconds, progress)
        sent = await counting.since()
    listed = ", ".join(f"{number} {name}" for name, number in sent.items()) or "none"
    others = "" if server.own else "; commands of other clients included"
    nothing = timings.seconds("nothing")
    return [
        reports.compared(
            "reported",
            "bare",
            name="guarded_outcome",
            what="cached resolve and its success reported",
            against="bare EVALSHA",
            target=0.1,
        ),
        Measurement(
            name="guarded_call",
            what="what registry.call adds to a call",
            value=(timings.seconds("call") - nothing) * 1e6,
            unit="µs",
            target=15.0,
            note=f"the call itself takes {nothing * 1e6:.2f} µs",
        ),
        beside_interlock(timings, interlock),
        Measurement(
            name="guarded_commands",
            what=f"commands of {_PER_SECOND} such calls a second",
            value=sum(sent.values()) * _COUNTED * max(1 / took, _PER_SECOND / calls),
            unit=f"in {_COUNTED:.0f} s",
            target=60.0,
            note=f"{calls} calls in {took:.1f} s sent {listed}{others}",
        ),
    ]


def _resolve_and_report(registry: ServiceRegistry) -> Call:
    required = list(REQUIRED)

    async def resolve_and_report() -> None:
        client: Client = await registry.get_service(HANDLER, _SERVICE, required)
        registry.breaker(_SERVICE, client.name).record_success()

    return resolve_and_report


def _call(registry: ServiceRegistry) -> Call:
    required = list(REQUIRED)
    return lambda: registry.call(HANDLER, _SERVICE, _work, required_capabilities=required)


async def _work(_client: Client | None) -> None:
    """The trivial function that every contender calls."""


async def _steadily(call: Call, seconds: float, progress: Progress) -> tuple[int, float]:
    """Make calls at a steady rate; how many, and the seconds that it took.

    Where a call takes too long for that rate, there are fewer in a little more time.
    """
    start = time.monotonic()
    wanted, done, spent = round(seconds * _PER_SECOND), 0, 0.0
    while done < wanted and spent < seconds * _MOST_OVERTIME:
        if done < spent * _PER_SECOND:
            await call()
            done += 1
        else:
            progress(0.2 + 0.8 * done / wanted)
            await asyncio.sleep(_POLL)
        spent = time.monotonic() - start
    return done, spent
