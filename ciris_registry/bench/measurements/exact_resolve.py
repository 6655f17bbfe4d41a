"""An exact resolve, compared with the bare round trip that it needs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.measurements.bare_evalsha import BARE_EVALSHA, bare_evalsha
from ciris_registry.bench.measurements.comparison import Contender, compare
from ciris_registry.bench.providers import HANDLER, REQUIRED, register_ranked
from ciris_registry.bench.report import Measurement

if TYPE_CHECKING:
    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.bench.server import Server

_SERVICE: Final = "exact"
_AT_ONCE: Final = 64


async def measure_exact_resolve(
    server: Server, plan: Plan, progress: Progress
) -> list[Measurement]:
    """One at a time, and 64 tasks that each resolve over and over."""
    bare = await bare_evalsha(server)
    async with server.registry("exact") as registry:
        register_ranked(registry, _SERVICE, 5)
        await registry.flush()
        resolve = partial(registry.get_service, HANDLER, _SERVICE, list(REQUIRED))
        one = await compare(
            [Contender("bare", bare), Contender("exact", resolve)],
            plan,
            lambda share: progress(share / 2),
        )
        many = await compare(
            [Contender("bare", bare, _AT_ONCE), Contender("exact", resolve, _AT_ONCE)],
            plan,
            lambda share: progress((1 + share) / 2),
        )
    return [
        one.microseconds("bare", name="bare_evalsha", what=BARE_EVALSHA),
        Measurement(
            name="bare_evalsha_64",
            what=f"{BARE_EVALSHA}, {_AT_ONCE} at once",
            value=1 / many.seconds("bare"),
            unit="/s",
        ),
        one.compared(
            "exact",
            "bare",
            name="exact_resolve",
            what="exact resolve",
            against="bare EVALSHA",
            target=1.25,
        ),
        Measurement(
            name="exact_resolve_64",
            what=f"exact resolve, {_AT_ONCE} at once",
            value=1 / many.seconds("exact"),
            unit="/s",
            against=f"bare EVALSHA, {_AT_ONCE} at once",
            against_value=1 / many.seconds("bare"),
            ratio=many.ratio("bare", "exact"),
            target=3.3,
            at_least=True,
        ),
    ]
