"""What an exact resolve costs beside the bare round trip that it needs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ciris_registry.bench import bare
from ciris_registry.bench.pool import HANDLER, WANTED, register_ranked
from ciris_registry.bench.results import Measurement
from ciris_registry.bench.rounds import Contender, alternate

if TYPE_CHECKING:
    from ciris_registry.bench.place import Place
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.rounds import Tick

_SERVICE: Final = "exact"
_AT_ONCE: Final = 64


async def measure_exact(place: Place, plan: Plan, tick: Tick) -> list[Measurement]:
    """One at a time, and 64 tasks that each resolve over and over."""
    bare_call = await bare.bare_call(place)
    async with place.registry("exact") as registry:
        register_ranked(registry, _SERVICE, 5)
        await registry.flush()
        resolve = partial(registry.get_service, HANDLER, _SERVICE, list(WANTED))
        one = await alternate(
            [Contender("bare", bare_call), Contender("exact", resolve)],
            plan,
            lambda share: tick(share / 2),
        )
        many = await alternate(
            [Contender("bare", bare_call, _AT_ONCE), Contender("exact", resolve, _AT_ONCE)],
            plan,
            lambda share: tick((1 + share) / 2),
        )
    return [
        Measurement(name="bare_evalsha", what=bare.NAMED, value=one["bare"] * 1e6, unit="µs"),
        Measurement(
            name="bare_evalsha_64",
            what=f"{bare.NAMED}, {_AT_ONCE} at once",
            value=1 / many["bare"],
            unit="/s",
        ),
        Measurement(
            name="exact_resolve",
            what="exact resolve",
            value=one["exact"] * 1e6,
            unit="µs",
            against="bare EVALSHA",
            against_value=one["bare"] * 1e6,
            ratio=one["exact"] / one["bare"],
            target=1.25,
        ),
        Measurement(
            name="exact_resolve_64",
            what=f"exact resolve, {_AT_ONCE} at once",
            value=1 / many["exact"],
            unit="/s",
            against=f"bare EVALSHA, {_AT_ONCE} at once",
            against_value=1 / many["bare"],
            ratio=many["bare"] / many["exact"],
            target=3.3,
            at_least=True,
        ),
    ]
