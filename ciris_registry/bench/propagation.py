"""How long after a breaker was opened in one process others refuse the provider.

From the call that opens it, an override or the fifth failure in turn, until ``get_service`` of a
watching process has returned None. Watchers look whenever their process has heard something, as a
caller does who happens to come then. What it takes to give every process its turn on the processors
is part of what is measured.
"""

from __future__ import annotations

import asyncio
import random
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.messages import Word
from ciris_registry.bench.plan import BenchError
from ciris_registry.bench.results import Measurement
from ciris_registry.bench.worker import BREAKER, PROVIDER, WATCHED

if TYPE_CHECKING:
    from ciris_registry.bench.crew import Crew
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.rounds import Tick
    from ciris_registry.registry import ServiceRegistry
    from ciris_registry.shared_breaker import BreakerHandle

_PAUSE: Final = (0.005, 0.025)
"""Seconds before an opening, so that it falls anywhere in what the processes do else."""


async def measure_propagation(
    registry: ServiceRegistry, crew: Crew, plan: Plan, tick: Tick
) -> list[Measurement]:
    """Open the breaker over and over; everybody says when."""
    breaker = registry.breaker(WATCHED, PROVIDER)
    delays: list[float] = []
    for number in range(plan.consecutive_openings):
        crew.tell(Word(do="watch"))
        await _all(crew, "ready")
        await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311 # no secret
        opened = await (_fail if number % 2 else _force)(breaker)
        delays += [at - opened for at in await _all(crew, "refused")]
        await breaker.areset("the next round of the bench")
        tick((number + 1) / plan.consecutive_openings)
    note = f"{plan.consecutive_openings} consecutive_openings, {plan.processes} processes watching"
    return [
        Measurement(
            name="propagation_p50",
            what="opened here, refused there: median",
            value=median(delays) * 1000,
            unit="ms",
            note=note,
        ),
        Measurement(
            name="propagation_p99",
            what="opened here, refused there: p99",
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


async def _all(crew: Crew, kind: str) -> list[float]:
    answers = await crew.answers()
    if any(one.kind != kind for one in answers):
        raise BenchError(f"a process of the fleet was not {kind}")
    return [one.at for one in answers]
