"""Reads fifty events of a subscription, one after another: no connection is opened for them.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import sys

from ciris_registry import ServiceRegistry
from tests.own_process import open_sockets


async def main(url: str) -> None:
    """Read one event, and then fifty more."""
    async with ServiceRegistry(url=url) as registry:
        registry.register_global("llm", object(), name="shared")
        await registry.flush()
        breaker, subscription = registry.breaker("llm", "shared"), registry.events("llm")

        async def next_one() -> None:
            reading = asyncio.create_task(anext(subscription))
            await asyncio.sleep(0)
            await breaker.areset("again")
            assert (await reading).kind == "breaker_reset"

        await next_one()
        before = open_sockets()
        for _ in range(50):
            await next_one()
            assert open_sockets() <= before


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
