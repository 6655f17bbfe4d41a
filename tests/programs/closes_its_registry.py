"""Uses a registry, closes it and drops it: no warning, and no task and no connection is left.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import gc
import sys

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.own_process import open_sockets
from tests.waiting import async_wait_until


async def main(url: str) -> None:
    """Use, close and drop it."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    registry = ServiceRegistry(url=url, settings=RegistrySettings(store_timeout=5.0))
    registry.register("h", "llm", object())
    await registry.get_service("h", "llm")
    await registry.aclose()
    del registry
    gc.collect()
    assert asyncio.all_tasks() == tasks
    await async_wait_until(lambda: open_sockets() == sockets)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
