"""Makes thousands of calls: what they allocate does not stay.

Argument: what each call does.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc

from ciris_registry import RegistrySettings, ServiceRegistry

CALLS = 1500
MOST = 15_000
"""Bytes that so many calls may leave."""


async def main(turn: str) -> None:
    """Call, look, call again, and look again."""
    settings = RegistrySettings(store_timeout=5.0, max_staleness=30.0)
    async with ServiceRegistry(settings=settings) as registry:
        name = registry.register("h", "llm", object())
        breaker = registry.breaker("llm", name)

        async def calls() -> int:
            for _ in range(CALLS):
                if turn == "resolve":
                    await registry.get_service("h", "llm")
                else:
                    assert breaker.is_available()
                    breaker.record_success()
            await registry.flush()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        await calls()
        tracemalloc.start()
        before = await calls()
        # A call of the background that is in flight has its texts in memory.
        after = min([await calls() for _ in range(3)])
        tracemalloc.stop()
        assert after - before < MOST, after - before


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
