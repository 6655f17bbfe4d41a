"""Closes an event loop in which a provider is being used: nothing stays taken.

Arguments: the URL, the mode, and the state of the provider's breaker.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from tests.waiting import async_wait_until

CALM = RegistrySettings(lease=3600.0, store_timeout=5.0, success_report_interval=60.0)


class Client:
    """A provider."""

    async def work(self) -> str:
        """Answer."""
        return "done"


async def work(registry: ServiceRegistry) -> None:
    """Use the provider."""
    assert await registry.call("h", "llm", Client.work) == "done"


async def taken(registry: ServiceRegistry) -> int:
    """Permits and slots that are taken in Redis."""
    await registry.flush()
    store = await registry._session.store()
    _, permits, *_ = await store.breakers.read("llm", "p")
    slots = store.keys("llm").slots("p")
    return len(permits) + int(await store._transport.ask("ZCARD", slots))


async def enter(registry: ServiceRegistry, state: str) -> asyncio.Task[None]:
    """A use of the provider that goes on."""
    config = CircuitBreakerConfig(
        failure_threshold=1 if state == "half_open" else 100,
        recovery_timeout=0,
        success_threshold=1000,
        failure_rate_threshold=None,
    )
    limit = None if state == "closed" else 1
    registry.register(
        "h", "llm", Client(), name="p", circuit_breaker_config=config, max_in_flight=limit
    )
    await registry.flush()
    if state == "half_open":
        await registry.breaker("llm", "p").arecord_failure()
        await asyncio.sleep(0.005)  # a recovery time of 0 is a millisecond
        await work(registry)
    assert await taken(registry) == 0
    entered = asyncio.Event()

    async def hold() -> None:
        async with registry.acquire("h", "llm"):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await entered.wait()
    assert await taken(registry) == {"closed": 0, "limited": 1, "half_open": 2}[state]
    return task


async def go_on(registry: ServiceRegistry) -> None:
    """Use the provider in another loop."""
    await async_wait_until(lambda: registry._parts.breakers.of("llm", "p").in_flight == 0)
    assert await taken(registry) == 0
    await work(registry)
    await registry.aclose()


def main(url: str, mode: Any, state: str) -> None:
    """Close the loop, and use the registry in another one."""
    registry = ServiceRegistry(url=url, settings=CALM, consistency=mode)
    loop = asyncio.new_event_loop()
    held: Any = loop.run_until_complete(enter(registry, state))
    for task in asyncio.all_tasks(loop) - {held}:
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.05))
    held._log_destroy_pending = False  # that it is destroyed is what is tested
    del held
    loop.close()
    gc.collect()
    asyncio.run(go_on(registry))


if __name__ == "__main__":
    main(*sys.argv[1:])
