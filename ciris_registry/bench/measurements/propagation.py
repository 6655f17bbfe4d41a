"""How long after a breaker opened in one process the other processes refuse the provider.

The time from the call that opens it, in turn an override and the fifth failure, until
``get_service`` of a watching process has returned None. A watcher resolves whenever its replica has
changed. Waiting for a free processor is part of the time.
"""

from __future__ import annotations

import asyncio
import random
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.fleet import BREAKER, PROVIDER, WATCHED, Command
from ciris_registry.bench.plan import BenchError
from ciris_registry.bench.report import Measurement

if TYPE_CHECKING:
    from ciris_registry.bench.fleet import Fleet
    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.registry import ServiceRegistry
    from ciris_registry.shared_breaker import BreakerHandle

_PAUSE: Final = (0.005, 0.025)
"""Seconds before an opening, so that it falls at a random moment of the processes' other work."""


async def measure_propagation(
    registry: ServiceRegistry, fleet: Fleet, plan: Plan, progress: Progress
) -> list[Measurement]:
    """Open the breaker over and over, and collect the time at which each process refused."""
    breaker = registry.breaker(WATCHED, PROVIDER)
    delays: list[float] = []
    for number in range(plan.openings):
        fleet.send(Command(do="watch"))
        await _all(fleet, "ready")
        await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311 # no secret
        opened = await (_fail if number % 2 else _force)(breaker)
        delays += [at - opened for at in await _all(fleet, "refused")]
        await breaker.areset("the next round of the bench")
        progress((number + 1) / plan.openings)
    note = f"{plan.openings} openings, {plan.processes} processes watching"
    return [
        Measurement(
            name="propagation_p50",
            what="opened in one process, refused in others: median",
            value=median(delays) * 1000,
            unit="ms",
            note=note,
        ),
        Measurement(
            name="propagation_p99",
            what="opened in one process, refused in others: p99",
            value=quantiles(delays, n=100, method="inclusive")[-1] * 1000,
            unit="ms",
            target=10.0,
            note=note,
        ),
    ]


async def _force(breaker: BreakerHandle) -> float:
    opened = time.monotonic()
    await breaker.aforce_open("the bench opens it")
    return opened


async def _fail(breaker: BreakerHandle) -> float:
    for _ in range(BREAKER.failure_threshold - 1):
        await breaker.arecord_failure()
    opened = time.monotonic()
    await breaker.arecord_failure()
    return opened


async def _all(fleet: Fleet, kind: str) -> list[float]:
    answers = await fleet.answers()
    if any(one.kind != kind for one in answers):
        raise BenchError(f"a process of the fleet was not {kind}")
    return [one.at for one in answers]
