"""Uses a registry and drops it: one warning, and no task and no connection is left.

Arguments: the URL, and what is under way when the registry is dropped.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings

from ciris_registry import BreakerHandle, RegistrySettings, ServiceRegistry
from tests.own_process import open_sockets
from tests.waiting import async_wait_until

kept: list[BreakerHandle] = []


async def use(url: str, work: str) -> None:
    """Use a registry, which is dropped at the end."""
    registry = ServiceRegistry(url=url, settings=RegistrySettings(store_timeout=5.0))
    name = registry.register("h", "llm", object())
    assert await registry.get_service("h", "llm") is not None
    breaker = registry.breaker("llm", name)
    if work == "successes are pending":
        breaker.record_success()
    elif work == "a failure is on its way":
        breaker.record_failure()
        await asyncio.sleep(0)
    elif work == "the handle outlives it":
        kept.append(breaker)
    else:
        assert work == "nothing", work


async def main(url: str, work: str) -> None:
    """Use and drop it, and look at what is left."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await use(url, work)
        gc.collect()
        await async_wait_until(lambda: asyncio.all_tasks() == tasks)
        await async_wait_until(lambda: open_sockets() == sockets)
        gc.collect()
    [warning] = warned
    assert warning.category is ResourceWarning
    assert "dropped without aclose()" in str(warning.message)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
