"""Leaves an event loop in which a slot is held: the slot is not renewed and becomes free.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

from ciris_registry import NoProviderError, RegistrySettings, ServiceRegistry
from tests.waiting import async_wait_until


class Client:
    """A provider."""

    async def work(self) -> str:
        """Answer."""
        return "done"

    async def hang(self) -> None:
        """Never answer."""
        await asyncio.sleep(600)


async def hold(registry: ServiceRegistry) -> asyncio.Task[None]:
    """A call that goes on."""
    registry.register("h", "llm", Client(), name="p", max_in_flight=1)
    task = asyncio.create_task(registry.call("h", "llm", Client.hang))
    await async_wait_until(lambda: registry._parts.concurrency_limit.held("llm", "p"))
    return task


async def go_on(registry: ServiceRegistry) -> None:
    """Wait in another loop until the slot is free."""

    async def is_free() -> bool:
        try:
            return await registry.call("h", "llm", Client.work) == "done"
        except NoProviderError:
            return False

    await async_wait_until(is_free, 15.0)
    await registry.aclose()


def main(url: str) -> None:
    """Leave the loop, and use the registry in another one."""
    settings = RegistrySettings(lease=0.6, store_timeout=5.0)
    registry = ServiceRegistry(url=url, settings=settings, consistency="exact")
    loop = asyncio.new_event_loop()
    held: Any = loop.run_until_complete(hold(registry))
    for task in asyncio.all_tasks(loop) - {held}:
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.05))
    asyncio.run(go_on(registry))
    held._log_destroy_pending = False
    del held
    loop.close()
    gc.collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
