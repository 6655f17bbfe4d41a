"""What the fleet's round robin costs one process, and whether the fleet's shares are fair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ciris_registry.bench.commands import CommandCount
from ciris_registry.bench.messages import Word
from ciris_registry.bench.plan import FLEET_PROVIDERS
from ciris_registry.bench.pool import register_turns
from ciris_registry.bench.results import Measurement

if TYPE_CHECKING:
    from ciris_registry.bench.crew import Crew
    from ciris_registry.bench.place import Place
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.rounds import Tick

_SERVICE: Final = "alone"


async def measure_trips(place: Place, plan: Plan, tick: Tick) -> list[Measurement]:
    """Commands per resolve of one process, counted by the server."""
    async with place.registry() as registry:
        register_turns(registry, _SERVICE, FLEET_PROVIDERS)
        await registry.get_service("planner", _SERVICE)
        counting = await CommandCount.begin(place)
        for _ in range(plan.turns):
            await registry.get_service("planner", _SERVICE)
        sent = sum((await counting.since()).values())
    tick(1.0)
    whose = "" if place.own else "; others' on this server among them"
    return [
        Measurement(
            name="round_robin_trips",
            what="round trips of a cached round robin",
            value=sent / plan.turns,
            unit="per resolve",
            target=1 / 16,
            note=f"{sent} commands for {plan.turns} resolves{whose}",
        )
    ]


async def measure_shares(crew: Crew, plan: Plan) -> Measurement:
    """How far a provider's share of all resolves of the fleet is from its due, at most."""
    crew.tell(Word(do="turns", times=plan.turns))
    counts: dict[str, int] = {}
    for answer in await crew.answers():
        for name, number in answer.counts.items():
            counts[name] = counts.get(name, 0) + number
    due = plan.processes * plan.turns / FLEET_PROVIDERS
    # Whoever is missing was never chosen.
    shares = [*counts.values(), *[0] * (FLEET_PROVIDERS - len(counts))]
    return Measurement(
        name="round_robin_share",
        what="round robin of the fleet, farthest from its share",
        value=max(abs(number - due) for number in shares) / due * 100,
        unit="%",
        target=1.0,
        note=f"{plan.processes} processes with {plan.turns} resolves each: "
        + ", ".join(str(counts[name]) for name in sorted(counts)),
    )
