"""One run of the bench: all measurements, one after another."""

from __future__ import annotations

import asyncio
import platform
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.exceptions import RedisError

from ciris_registry.bench.fleet import Fleet, join
from ciris_registry.bench.measurements import (
    measure_cached_resolve,
    measure_calls,
    measure_exact_resolve,
    measure_memory,
    measure_propagation,
    measure_round_robin_commands,
    measure_round_robin_shares,
)
from ciris_registry.bench.plan import BenchError
from ciris_registry.bench.report import Measurement, ProgressBar, Results
from ciris_registry.bench.server import open_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.bench.server import Server


class Step(NamedTuple):
    """A part of the run, and about which share of its time it takes."""

    label: str
    weight: float
    measure: Callable[[Server, Plan, Progress], Awaitable[list[Measurement]]]


async def measure_fleet(server: Server, plan: Plan, progress: Progress) -> list[Measurement]:
    """Everything that takes several processes."""
    async with server.registry() as registry:
        await join(registry)
        async with Fleet(server, plan.processes) as fleet:
            progress(0.2)
            shares = await measure_round_robin_shares(fleet, plan)
            progress(0.3)
            delays = await measure_propagation(
                registry, fleet, plan, lambda share: progress(0.3 + 0.7 * share)
            )
    return [shares, *delays]


STEPS: Final = (
    Step("exact resolve, bare EVALSHA", 8, measure_exact_resolve),
    Step("cached resolve, reference", 6, measure_cached_resolve),
    Step("cached call", 16, measure_calls),
    Step("round robin", 1, measure_round_robin_commands),
    Step("round robin and propagation between processes", 12, measure_fleet),
    Step("memory", 3, measure_memory),
)


def run_bench(plan: Plan) -> Results:
    """Run every step; see ``ciris_registry.bench.run``."""
    try:
        return asyncio.run(_run(plan))
    except (RedisError, OSError) as error:  # of a bare call; the registry has errors of its own
        raise BenchError(f"the server cannot be measured: {error}") from None


async def _run(plan: Plan) -> Results:
    began = time.monotonic()
    found: list[Measurement] = []
    async with open_server(plan.url) as server:
        description = await server.description()
        with ProgressBar(sum(step.weight for step in STEPS)) as bar:
            for step in STEPS:
                found += await step.measure(server, plan, bar.step(step.label, step.weight))
    return Results(
        server=description,
        own_server=server.own,
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        scale=plan.scale,
        processes=plan.processes,
        seconds=time.monotonic() - began,
        measurements=found,
    )
