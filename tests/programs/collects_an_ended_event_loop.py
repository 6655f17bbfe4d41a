"""Collects the garbage of an ended event loop: what runs in the next loop is still woken.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from tests.waiting import async_wait_until

QUICK = RegistrySettings(store_timeout=5.0, write_timeout=1.0, max_staleness=60.0)
AT_ONCE = 2.5
"""Seconds: less than one read of the streams waits, which is 4 s with such a ``max_staleness``."""


async def begin(registry: ServiceRegistry) -> None:
    """Use the registry, which follows its service type from then on."""
    registry.register("h", "llm", object(), name="shared")
    assert await registry.get_service("h", "llm") is not None
    await asyncio.sleep(0.1)


async def go_on(registry: ServiceRegistry, url: str) -> None:
    """Collect the garbage, and ask to follow one more service type."""
    await begin(registry)
    gc.collect()
    async with ServiceRegistry(url=url, settings=QUICK) as other:
        registry.register("h", "tool", object(), name="late")
        assert await registry.get_service("h", "tool") is not None
        await async_wait_until(lambda: registry._parts.replicas.of("tool").place, AT_ONCE)
        await other.breaker("tool", "late").aforce_open("a test", 60)
        handle = registry.breaker("tool", "late")
        await async_wait_until(lambda: handle.state is CircuitState.OPEN, AT_ONCE)
    await registry.aclose()


def main(url: str) -> None:
    """End one loop with its tasks pending, and go on in another one."""
    registry = ServiceRegistry(url=url, consistency="cached", settings=QUICK)
    first = asyncio.new_event_loop()
    first.run_until_complete(begin(registry))
    first.close()
    asyncio.run(go_on(registry, url))


if __name__ == "__main__":
    # That tasks and connections of the first loop were pending is reported, as it should be.
    logging.getLogger("asyncio").addHandler(logging.NullHandler())
    warnings.simplefilter("ignore", ResourceWarning)
    main(*sys.argv[1:])
