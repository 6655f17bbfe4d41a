"""Makes calls that fail: no reference cycle keeps their errors until a garbage collection.

Argument: the way of calling.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALLS = 40
MOST = CALLS
"""Unreachable objects; one cycle in each call would make several times as many."""

SHORT = 0.005


async def fails(_provider: object) -> None:
    """Fail."""
    await asyncio.sleep(0)
    raise ValueError("no")


async def hangs(_provider: object) -> None:
    """Take too long."""
    await asyncio.sleep(60)


async def yields_nothing(_provider: object) -> AsyncIterator[str]:
    """Fail before the first item."""
    await asyncio.sleep(0)
    raise ValueError("no")
    yield "never"


async def breaks_off(_provider: object) -> AsyncIterator[str]:
    """Fail after the first item."""
    yield "first"
    raise ValueError("no")


async def never_yields(_provider: object) -> AsyncIterator[str]:
    """Take too long for the first item."""
    await asyncio.sleep(60)
    yield "never"


STREAMS = {"stream": yields_nothing, "begun_stream": breaks_off, "late_stream": never_yields}


async def once(registry: ServiceRegistry, way: str) -> None:
    """Make one call."""
    if way in STREAMS:
        async for _item in registry.stream("h", "llm", STREAMS[way]):
            pass
    elif way in {"acquire", "late_block"}:
        async with registry.acquire("h", "llm") as provider:
            await (fails if way == "acquire" else hangs)(provider)
    elif way == "retry":
        await registry.call("h", "llm", fails, retry=1)
    elif way == "rounds":
        await registry.call("h", "llm", fails, retry=2)
    else:
        await registry.call("h", "llm", fails if way == "call" else hangs)


async def main(way: str) -> None:
    """Make the first calls, turn the collector off, call, and count what it finds."""
    breaker = CircuitBreakerConfig(
        failure_threshold=10_000, failure_rate_threshold=None, timeout_duration=SHORT
    )
    # No heartbeat during the test: the first call of a script fails once, and leaves garbage.
    settings = RegistrySettings(store_timeout=5.0, max_staleness=30.0, lease=600.0, breaker=breaker)
    async with ServiceRegistry(settings=settings, consistency="cached") as registry:
        for name in ("a", "b"):
            registry.register("h", "llm", object(), name=name)

        async def calls() -> int:
            await registry.flush()
            gc.collect()
            for _ in range(CALLS):
                with contextlib.suppress(ValueError, TimeoutError):
                    await once(registry, way)
            return gc.collect()

        gc.disable()
        await calls()
        found = await calls()
        assert found < MOST, found


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
