"""What a closed registry has begun ends with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry import ServiceRegistry
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from ciris_registry.registration import Registration
    from ciris_registry.store import Store


async def test_a_factory_that_hangs_outlived_its_registry() -> None:
    begun = asyncio.Event()

    async def hang(_: Registration) -> object:
        begun.set()
        await asyncio.sleep(3600)
        return object()

    before = asyncio.all_tasks()
    registry = ServiceRegistry()
    registry.register("h", "llm", factory=hang, name="slow")
    resolving = asyncio.create_task(registry.get_service("h", "llm"))
    await begun.wait()
    await registry.aclose()
    assert await asyncio.wait_for(resolving, 1.0) is None
    # fakeredis ends a blocked read of its own within a second.
    await async_wait_until(lambda: asyncio.all_tasks() == before, timeout=2.0)


async def test_a_write_that_hangs_outlived_its_registry() -> None:
    begun = asyncio.Event()

    async def hang(_: Store) -> None:
        begun.set()
        await asyncio.sleep(3600)

    before = asyncio.all_tasks()
    registry = await ServiceRegistry().start()
    registry._parts.write_queue.put("a write", hang)
    await begun.wait()
    registry._parts.connectivity.suspect("no answer")
    await registry.aclose()
    assert asyncio.all_tasks() == before
