"""What a cached resolve costs beside the bare algorithm in one process, and with many providers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.pool import HANDLER, WANTED, register_ranked, register_reference
from ciris_registry.bench.reference import ReferenceRegistry
from ciris_registry.bench.results import Measurement
from ciris_registry.bench.rounds import Contender, alternate

if TYPE_CHECKING:
    from ciris_registry.bench.place import Place
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.rounds import Tick

_FEW: Final = 5
_MANY: Final = 100


async def measure_cached(place: Place, plan: Plan, tick: Tick) -> list[Measurement]:
    """The reference, a cached resolve with 5 providers, and one with 100."""
    reference = ReferenceRegistry()
    register_reference(reference, "few", _FEW)
    async with place.registry() as registry:
        register_ranked(registry, "few", _FEW)
        register_ranked(registry, "many", _MANY)
        await registry.flush()
        wanted = list(WANTED)
        taken = await alternate(
            [
                Contender("reference", partial(reference.get_service, HANDLER, "few", wanted)),
                Contender("few", partial(registry.get_service, HANDLER, "few", wanted)),
                Contender("many", partial(registry.get_service, HANDLER, "many", wanted)),
            ],
            plan,
            tick,
        )
    return [
        Measurement(
            name="reference",
            what=f"in-process reference, {_FEW} providers",
            value=taken["reference"] * 1e6,
            unit="µs",
        ),
        Measurement(
            name="cached_resolve",
            what=f"cached resolve, {_FEW} providers",
            value=taken["few"] * 1e6,
            unit="µs",
            against="the reference",
            against_value=taken["reference"] * 1e6,
            ratio=taken["few"] / taken["reference"],
            target=1.0,
        ),
        Measurement(
            name="cached_resolve_100",
            what=f"cached resolve, {_MANY} providers",
            value=taken["many"] * 1e6,
            unit="µs",
            against=f"with {_FEW} providers",
            against_value=taken["few"] * 1e6,
            ratio=taken["many"] / taken["few"],
            target=1.2,
        ),
    ]
