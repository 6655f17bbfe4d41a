"""A cached resolve, compared with the bare algorithm in one process; with 5 and 100 providers."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.measurements.comparison import Contender, compare
from ciris_registry.bench.providers import (
    HANDLER,
    REQUIRED,
    register_ranked,
    register_reference,
)
from ciris_registry.bench.reference import ReferenceRegistry

if TYPE_CHECKING:
    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.bench.report import Measurement
    from ciris_registry.bench.server import Server

_FEW: Final = 5
_MANY: Final = 100


async def measure_cached_resolve(
    server: Server, plan: Plan, progress: Progress
) -> list[Measurement]:
    """The reference, a cached resolve with 5 providers, and one with 100."""
    reference = ReferenceRegistry()
    register_reference(reference, "few", _FEW)
    async with server.registry() as registry:
        register_ranked(registry, "few", _FEW)
        register_ranked(registry, "many", _MANY)
        await registry.flush()
        required = list(REQUIRED)
        timings = await compare(
            [
                Contender("reference", partial(reference.get_service, HANDLER, "few", required)),
                Contender("few", partial(registry.get_service, HANDLER, "few", required)),
                Contender("many", partial(registry.get_service, HANDLER, "many", required)),
            ],
            plan,
            progress,
            clock=time.process_time,
        )
    return [
        timings.microseconds(
            "reference", name="reference", what=f"in-process reference, {_FEW} providers"
        ),
        timings.compared(
            "few",
            "reference",
            name="cached_resolve",
            what=f"cached resolve, {_FEW} providers",
            against="the reference",
            target=1.0,
        ),
        timings.compared(
            "many",
            "few",
            name="cached_resolve_100",
            what=f"cached resolve, {_MANY} providers",
            against=f"with {_FEW} providers",
            target=1.2,
        ),
    ]
