"""A day in miniature: whether what is held stays the same however many calls are made.

The least durations that there are let everything expire in seconds that would take hours, so that
millions of calls in a minute or two leave behind what a day would.
"""

from __future__ import annotations

import asyncio
import platform
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.exceptions import RedisError

from ciris_registry.bench.footprint import footprint
from ciris_registry.bench.place import open_place
from ciris_registry.bench.plan import BenchError
from ciris_registry.bench.progress import Bar
from ciris_registry.bench.results import Measurement, Results
from ciris_registry.bench.traffic import LEASE, RETENTION, Traffic

if TYPE_CHECKING:
    from ciris_registry.bench.footprint import Footprint
    from ciris_registry.bench.place import Place
    from ciris_registry.bench.rounds import Tick

CALLS: Final = 2_000_000
FEWEST_CALLS, MOST_CALLS = 20_000, 1_000_000_000

_SAMPLES: Final = 10
_SETTLED: Final = LEASE + RETENTION + 0.5
"""Seconds until Redis has let go of everything that has ended, at the first look and the last."""

_MEGABYTE: Final = 1e6


class Held(NamedTuple):
    """Something that must not grow with the calls."""

    name: str
    """A field of Footprint."""

    what: str
    unit: str
    divisor: float
    share: float
    """By how much it may be more at the end than after the first tenth, …"""

    least: float = 0.0
    """… or by how many of its units, if that is more."""


HELD: Final = (
    Held("process", "memory of the process", "MB", _MEGABYTE, 0.1, 5),
    Held("objects", "Python objects in it", "", 1, 0.1),
    Held("keys", "keys in Redis", "", 1, 0.0),
    Held("entries", "fields and members of these", "", 1, 0.1),
    Held("server", "memory of the server", "MB", _MEGABYTE, 0.1, 1),
)


def run_soak(calls: int = CALLS) -> Results:
    """Make so many resolves and outcomes on a server of its own, and compare what is held.

    Raises:
        BenchError: It cannot begin or go on.
        RegistryError: The server cannot be used.
    """
    if not FEWEST_CALLS <= calls <= MOST_CALLS:
        raise BenchError(f"{calls} calls; use {FEWEST_CALLS:,} to {MOST_CALLS:,}")
    try:
        return asyncio.run(_run(calls))
    except (RedisError, OSError) as error:  # of a count; the registry has errors of its own
        raise BenchError(f"the server cannot be counted on: {error}") from None


async def _run(calls: int) -> Results:
    began = time.monotonic()
    async with open_place(None) as place:
        server = await place.described()
        with Bar(1) as bar:
            async with Traffic(place) as traffic:
                samples = await _soak(place, traffic, calls, bar.step("soak", 1))
                done = await _told(traffic)
    taken = time.monotonic() - began
    return Results(
        server=server,
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
            *(judged(one, samples) for one in HELD),
        ],
    )


async def _soak(place: Place, traffic: Traffic, calls: int, tick: Tick) -> list[Footprint]:
    """What is held after each tenth of the calls."""
    samples: list[Footprint] = []
    number = 0
    for tenth in range(1, _SAMPLES + 1):
        while traffic.calls < calls * tenth / _SAMPLES:
            await traffic.round(number)
            number += 1
            tick(traffic.calls / calls)
        await traffic.flush()
        if tenth in {1, _SAMPLES}:
            await asyncio.sleep(_SETTLED)
        samples.append(await footprint(place))
    return samples


async def _told(traffic: Traffic) -> str:
    done = traffic.done
    changes = await traffic.transitions()
    return (
        f"{done['resolves']:,} resolves, {done['nobody']:,} of them without anybody to choose; "
        f"{done['outcomes']:,} outcomes, {done['failures']:,} of them failures; "
        f"{done['registrations']:,} registrations; {done['visits']:,} visiting processes; "
        f"{changes:,} changes of breakers"
    )


def judged(held: Held, samples: list[Footprint]) -> Measurement:
    """Whether it ended where it was after the first tenth of the calls."""
    values: list[float] = [getattr(sample, held.name) / held.divisor for sample in samples]
    first, last = values[0], values[-1]
    return Measurement(
        name=f"soak_{held.name}",
        what=held.what,
        value=last,
        unit=held.unit,
        against="after 10 %",
        against_value=first,
        ratio=last / first,
        target=1 + max(held.share, held.least / first),
        note="after each tenth " + ", ".join(f"{value:.4g}" for value in values),
    )
