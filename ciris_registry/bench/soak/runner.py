"""The soak: samples memory and keys while millions of calls are made, and compares the samples.

With the shortest durations that settings allow, everything expires within seconds instead of hours.
So a run of a few minutes shows what a day of traffic leaves behind.
"""

from __future__ import annotations

import asyncio
import platform
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.exceptions import RedisError

from ciris_registry.bench.plan import BenchError
from ciris_registry.bench.report import Measurement, ProgressBar, Results
from ciris_registry.bench.server import open_server
from ciris_registry.bench.soak.footprint import footprint
from ciris_registry.bench.soak.traffic import LEASE, RETENTION, Traffic

if TYPE_CHECKING:
    from ciris_registry.bench.plan import Progress
    from ciris_registry.bench.server import Server
    from ciris_registry.bench.soak.footprint import Footprint

CALLS: Final = 2_000_000
FEWEST_CALLS, MOST_CALLS = 20_000, 1_000_000_000

_SAMPLES: Final = 10
_SETTLED: Final = LEASE + RETENTION + 0.5
"""Seconds before the first and the last sample, in which everything that has ended expires."""

_MEGABYTE: Final = 1e6


class Limit(NamedTuple):
    """A quantity that must not grow with the calls, and how much larger it may be at the end."""

    name: str
    """A field of Footprint."""

    what: str
    unit: str
    divisor: float
    share: float
    """The allowed growth since the first sample, as a share of it, …"""

    least: float = 0.0
    """… or in units, if that is more."""


LIMITS: Final = (
    Limit("process", "memory of the process", "MB", _MEGABYTE, 0.1, 5),
    Limit("objects", "Python objects in it", "", 1, 0.1),
    Limit("keys", "keys in Redis", "", 1, 0.0),
    Limit("entries", "fields and members of these", "", 1, 0.1),
    Limit("server", "memory of the server", "MB", _MEGABYTE, 0.1, 1),
)


def run_soak(calls: int) -> Results:
    """Make so many resolves and outcomes; see ``ciris_registry.bench.run_soak``."""
    if not FEWEST_CALLS <= calls <= MOST_CALLS:
        raise BenchError(f"{calls} calls; use {FEWEST_CALLS:,} to {MOST_CALLS:,}")
    try:
        return asyncio.run(_run(calls))
    except (RedisError, OSError) as error:  # of a sample; the registry has errors of its own
        raise BenchError(f"the server cannot be sampled: {error}") from None


async def _run(calls: int) -> Results:
    began = time.monotonic()
    async with open_server(None) as server:
        description = await server.description()
        with ProgressBar(1) as bar:
            async with Traffic(server) as traffic:
                samples = await _soak(server, traffic, calls, bar.step("soak", 1))
                done = await _summary(traffic)
    taken = time.monotonic() - began
    return Results(
        server=description,
        own_server=True,
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        scale=calls / CALLS,
        processes=1,
        seconds=taken,
        measurements=[
            Measurement(
                name="soak_calls",
                what="resolves and outcomes",
                value=traffic.calls,
                unit="",
                note=done,
            ),
            *(judged(one, samples) for one in LIMITS),
        ],
    )


async def _soak(
    server: Server, traffic: Traffic, calls: int, progress: Progress
) -> list[Footprint]:
    """A sample after each tenth of the calls."""
    samples: list[Footprint] = []
    number = 0
    for tenth in range(1, _SAMPLES + 1):
        while traffic.calls < calls * tenth / _SAMPLES:
            await traffic.round(number)
            number += 1
            progress(traffic.calls / calls)
        await traffic.flush()
        if tenth in {1, _SAMPLES}:
            await asyncio.sleep(_SETTLED)
        samples.append(await footprint(server))
    return samples


async def _summary(traffic: Traffic) -> str:
    done = traffic.done
    changes = await traffic.transitions()
    return (
        f"{done['resolves']:,} resolves, {done['unavailable']:,} of them found no provider; "
        f"{done['outcomes']:,} outcomes, {done['failures']:,} of them failures; "
        f"{done['registrations']:,} registrations; {done['visits']:,} visiting processes; "
        f"{changes:,} breaker transitions"
    )


def judged(limit: Limit, samples: list[Footprint]) -> Measurement:
    """The last sample compared with the first one, after a tenth of the calls."""
    values: list[float] = [getattr(sample, limit.name) / limit.divisor for sample in samples]
    first, last = values[0], values[-1]
    return Measurement(
        name=f"soak_{limit.name}",
        what=limit.what,
        value=last,
        unit=limit.unit,
        against="after 10 %",
        against_value=first,
        ratio=last / first,
        target=1 + max(limit.share, limit.least / first),
        note="after each tenth " + ", ".join(f"{value:.4g}" for value in values),
    )
