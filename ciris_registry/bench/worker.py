"""One process of the bench's fleet: ``python -m ciris_registry.bench.worker``.

It joins, does what it is told line by line, and ends with the end of its input, whatever it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from ciris_registry.bench.messages import Answer, Orders, Word
from ciris_registry.bench.place import new_registry
from ciris_registry.bench.plan import FLEET_PROVIDERS
from ciris_registry.bench.pool import Client, register_turns
from ciris_registry.circuit_breaker import CircuitBreakerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.registry import ServiceRegistry

TURNS: Final = "turns"
WATCHED: Final = "watched"
PROVIDER: Final = "only"
"""The service types of the fleet, and the one provider of the second."""

BREAKER: Final = CircuitBreakerConfig(failure_threshold=5, recovery_timeout=600.0)

_LOOK: Final = 0.1
"""Seconds after which a watcher looks though it has heard nothing. Twenty watchers that looked all
the time would take the processors away from whoever is to tell them."""

_TELL: Final = 0.03
"""Seconds until a watcher says what it has seen, so that telling it, and being listened to, takes
no processor from those who have not seen it yet."""


async def join(registry: ServiceRegistry) -> None:
    """Register what the whole fleet registers; everybody knows it when this returns."""
    register_turns(registry, TURNS, FLEET_PROVIDERS)
    registry.register_global(
        WATCHED, Client(PROVIDER), circuit_breaker_config=BREAKER, name=PROVIDER
    )
    await registry.flush()


async def obey(registry: ServiceRegistry, word: Word) -> None:
    """Do one thing, and say so."""
    if word.do == "turns":
        await _take_turns(registry, word.times)
    else:
        await _watch(registry)


async def _take_turns(registry: ServiceRegistry, times: int) -> None:
    counts: Counter[str] = Counter()
    for _ in range(times):
        client: Client = await registry.get_service("planner", TURNS)
        counts[client.name] += 1
    Answer(kind="turns", counts=counts).send()


async def _watch(registry: ServiceRegistry) -> None:
    """Say when the provider can be used, and then when it is refused."""
    look = partial(registry.get_service, "watcher", WATCHED)
    news = _news_of(registry)
    while await look() is None:
        await _heard(news)
    Answer(kind="ready").send()
    while await look() is not None:
        await _heard(news)
    seen_at = time.monotonic()
    await asyncio.sleep(_TELL)
    Answer(kind="refused", at=seen_at).send()


def _news_of(registry: ServiceRegistry) -> asyncio.Event:
    """Is set whenever a breaker of the watched service type was put where this process looks."""
    news, inside = asyncio.Event(), cast("Any", registry)
    replica = inside._views.replica(WATCHED)  # noqa: SLF001 # it is to be seen from outside
    put: Callable[..., None] = replica.put

    def noted(*breaker: Any) -> None:
        put(*breaker)
        news.set()

    replica.put = noted
    return news


async def _heard(news: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK):
            await news.wait()
    news.clear()


async def _live(lines: asyncio.StreamReader) -> None:
    orders = Orders.model_validate_json(await lines.readline())
    async with new_registry(orders.url, orders.namespace) as registry:
        await join(registry)
        Answer(kind="ready").send()
        try:
            # What fails in its work ends the reading, and so the process.
            async with asyncio.TaskGroup() as tasks:
                working: asyncio.Task[None] | None = None
                while line := await lines.readline():
                    if working is not None:
                        await working
                    working = tasks.create_task(obey(registry, Word.model_validate_json(line)))
                if working is not None:
                    working.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None


async def main() -> None:
    """Live until the input ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    await _live(lines)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        asyncio.run(main())
