"""Uses a registry for which every answer of Redis comes too late: no task is left.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.waiting import async_wait_until


async def main(url: str) -> None:
    """Resolve and record with a limit of a millisecond, and close."""
    before = asyncio.all_tasks()
    registry = ServiceRegistry(url=url, settings=RegistrySettings(store_timeout=0.001))
    registry.register_global("llm", object(), name="shared")
    for _ in range(20):
        await registry.get_service("h", "llm", consistency="exact")
        await registry.breaker("llm", "shared").arecord_success()
    await registry.aclose()
    await async_wait_until(lambda: asyncio.all_tasks() == before)


if __name__ == "__main__":
    # That it could not say farewell is logged, and is not what is looked for.
    logging.getLogger("ciris_registry").addHandler(logging.NullHandler())
    asyncio.run(main(*sys.argv[1:]))
