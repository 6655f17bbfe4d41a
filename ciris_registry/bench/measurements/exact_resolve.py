"""An exact resolve and an exact call, compared with the bare round trip that each needs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.measurements.bare_evalsha import BARE_EVALSHA, bare_evalsha
from ciris_registry.bench.measurements.comparison import Contender, compare
from ciris_registry.bench.providers import HANDLER, REQUIRED, Client, register_ranked
from ciris_registry.bench.report import Measurement

if TYPE_CHECKING:
    from ciris_registry.bench.measurements.comparison import Call
    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.bench.server import Server
    from ciris_registry.registry import ServiceRegistry

_SERVICE: Final = "exact"
_AT_ONCE: Final = 64


async def measure_exact_resolve(
    server: Server, plan: Plan, progress: Progress
) -> list[Measurement]:
    """Resolves one at a time, and by 64 tasks over and over; calls one at a time."""
    bare = await bare_evalsha(server)
    async with server.registry("exact") as registry:
        register_ranked(registry, _SERVICE, 5)
        await registry.flush()
        resolve = partial(registry.get_service, HANDLER, _SERVICE, list(REQUIRED))
        one = await compare(
            [
                Contender("bare", bare),
                Contender("exact", resolve),
                Contender("ping", server.client.ping),
                Contender("call", _call(registry), settle=registry.flush),
            ],
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
        one.compared(
            "call",
            "ping",
            name="exact_call",
            what="exact call that succeeds",
            against="redis-py PING",
            target=2.0,
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


def _call(registry: ServiceRegistry) -> Call:
    required = list(REQUIRED)
    return lambda: registry.call(HANDLER, _SERVICE, _work, required_capabilities=required)


async def _work(_client: Client) -> None:
    """The trivial function that is called."""
