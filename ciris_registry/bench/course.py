"""One run from its first measurement to its last, whatever interrupts it."""

from __future__ import annotations

import asyncio
import platform
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.exceptions import RedisError

from ciris_registry.bench.cached import measure_cached
from ciris_registry.bench.crew import Crew
from ciris_registry.bench.exact import measure_exact
from ciris_registry.bench.guarded import measure_guarded
from ciris_registry.bench.memory import measure_memory
from ciris_registry.bench.place import open_place
from ciris_registry.bench.plan import BenchError
from ciris_registry.bench.progress import Bar
from ciris_registry.bench.propagation import measure_propagation
from ciris_registry.bench.results import Measurement, Results
from ciris_registry.bench.turns import measure_shares, measure_trips
from ciris_registry.bench.worker import join

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.bench.place import Place
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.rounds import Tick


class Step(NamedTuple):
    """A part of the run, and about which share of its time it takes."""

    label: str
    weight: float
    measure: Callable[[Place, Plan, Tick], Awaitable[list[Measurement]]]


async def measure_fleet(place: Place, plan: Plan, tick: Tick) -> list[Measurement]:
    """Everything that takes several processes."""
    async with place.registry() as registry:
        await join(registry)
        async with Crew(place, plan.processes) as crew:
            tick(0.2)
            shares = await measure_shares(crew, plan)
            tick(0.3)
            delays = await measure_propagation(
                registry, crew, plan, lambda share: tick(0.3 + 0.7 * share)
            )
    return [shares, *delays]


STEPS: Final = (
    Step("exact resolve, bare EVALSHA", 8, measure_exact),
    Step("cached resolve, reference", 6, measure_cached),
    Step("guarded outcome", 14, measure_guarded),
    Step("round robin", 1, measure_trips),
    Step("round robin and propagation between processes", 12, measure_fleet),
    Step("memory", 3, measure_memory),
)


def run_course(plan: Plan) -> Results:
    """Make the run; see ``ciris_registry.bench.run``."""
    try:
        return asyncio.run(_run(plan))
    except (RedisError, OSError) as error:  # of a bare call; the registry has errors of its own
        raise BenchError(f"the server cannot be measured: {error}") from None


async def _run(plan: Plan) -> Results:
    began = time.monotonic()
    found: list[Measurement] = []
    async with open_place(plan.url) as place:
        server = await place.described()
        with Bar(sum(step.weight for step in STEPS)) as bar:
            for step in STEPS:
                found += await step.measure(place, plan, bar.step(step.label, step.weight))
    return Results(
        server=server,
        own_server=place.own,
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        scale=plan.scale,
        processes=plan.processes,
        seconds=time.monotonic() - began,
        measurements=found,
    )
