"""Makes three hundred calls at once: at most one connection is opened for them.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import sys

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.own_process import open_sockets


async def main(url: str) -> None:
    """Record three hundred successes at once."""
    patient = RegistrySettings(store_timeout=5.0)
    async with ServiceRegistry(url=url, settings=patient) as registry:
        name = registry.register("h", "llm", object())
        breaker = registry.breaker("llm", name)
        await registry.flush()
        before = open_sockets()
        await asyncio.gather(*(breaker.arecord_success() for _ in range(300)))
        assert (await breaker.aget_stats())["total_successes"] == 300
        assert open_sockets() <= before + 1


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
