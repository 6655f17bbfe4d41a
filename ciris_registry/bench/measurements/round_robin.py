"""The round robin of a fleet: commands that it costs one process, and how even the shares are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ciris_registry.bench.fleet import Command
from ciris_registry.bench.measurements.command_count import CommandCount
from ciris_registry.bench.plan import FLEET_PROVIDERS
from ciris_registry.bench.providers import HANDLER, register_round_robin
from ciris_registry.bench.report import Measurement

if TYPE_CHECKING:
    from ciris_registry.bench.fleet import Fleet
    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.bench.server import Server

_SERVICE: Final = "alone"


async def measure_round_robin_commands(
    server: Server, plan: Plan, progress: Progress
) -> list[Measurement]:
    """Commands per resolve of one process, counted by the server."""
    resolves = plan.round_robin_resolves
    async with server.registry() as registry:
        register_round_robin(registry, _SERVICE, FLEET_PROVIDERS)
        await registry.get_service(HANDLER, _SERVICE)
        counting = await CommandCount.begin(server)
        for _ in range(resolves):
            await registry.get_service(HANDLER, _SERVICE)
        sent = sum((await counting.since()).values())
    progress(1.0)
    others = "" if server.own else "; commands of other clients included"
    return [
        Measurement(
            name="round_robin_trips",
            what="round trips of a cached round robin",
            value=sent / resolves,
            unit="per resolve",
            target=1 / 16,
            note=f"{sent} commands for {resolves} resolves{others}",
        )
    ]


async def measure_round_robin_shares(fleet: Fleet, plan: Plan) -> Measurement:
    """The largest difference of a provider's resolves from an equal share, over the fleet."""
    resolves = plan.round_robin_resolves
    fleet.send(Command(do="resolve", times=resolves))
    counts: dict[str, int] = {}
    for answer in await fleet.answers():
        for name, number in answer.counts.items():
            counts[name] = counts.get(name, 0) + number
    equal = plan.processes * resolves / FLEET_PROVIDERS
    # A provider that is missing was never resolved.
    shares = [*counts.values(), *[0] * (FLEET_PROVIDERS - len(counts))]
    return Measurement(
        name="round_robin_share",
        what="round robin of the fleet, largest deviation",
        value=max(abs(number - equal) for number in shares) / equal * 100,
        unit="%",
        target=1.0,
        note=f"{plan.processes} processes with {resolves} resolves each: "
        + ", ".join(str(counts[name]) for name in sorted(counts)),
    )
