"""Makes thousands of calls of providers with ``max_in_flight``: no object of them stays.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import gc
import sys

from ciris_registry import RegistrySettings, SelectionStrategy, ServiceRegistry

CALM = RegistrySettings(
    lease=3600.0, store_timeout=5.0, max_staleness=60.0, success_report_interval=60.0
)
AT_ONCE = 20
MOST = 500
"""Objects that 1600 calls may leave; the limit is one for every three calls."""


class Client:
    """A provider."""

    async def work(self) -> None:
        """Take a step of the event loop."""
        await asyncio.sleep(0)


async def taken(registry: ServiceRegistry, name: str) -> int:
    """Slots of a provider that are taken in Redis."""
    store = await registry._session.store()
    key = store.keys("llm").slots(name)
    return int(await store._transport.ask("ZCARD", key))


async def main(url: str) -> None:
    """Call, count objects, call four times as often, and count them again."""
    async with ServiceRegistry(url=url, settings=CALM, consistency="cached") as registry:
        strategy = SelectionStrategy.LEAST_LOADED
        for name, limit in (("p", 8), ("q", 8), ("r", None)):
            registry.register(
                "h", "llm", Client(), name=name, strategy=strategy, max_in_flight=limit
            )

        async def calls(number: int) -> int:
            for _ in range(number // AT_ONCE):
                each = (registry.call("h", "llm", Client.work) for _ in range(AT_ONCE))
                await asyncio.gather(*each)
            await registry.flush()
            gc.collect()
            return len(gc.get_objects())

        await calls(400)
        before = await calls(400)
        after = await calls(1600)
        assert after - before < MOST, after - before
        slots = registry._parts.concurrency_limit
        assert slots._held == {}
        assert slots._releasing == {}
        assert await taken(registry, "p") == 0
        assert await taken(registry, "q") == 0


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
