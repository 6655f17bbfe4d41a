"""Cancels each operation after every number of steps: nothing stays taken, and no task is left.

Arguments: the URL, and the kind of provider.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerConfig, Registration, RegistrySettings, ServiceRegistry
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Act = Callable[[ServiceRegistry], Awaitable[Any]]

QUICK = CircuitBreakerConfig(
    failure_threshold=1, recovery_timeout=0, success_threshold=1_000_000, timeout_duration=600.0
)
CALM = RegistrySettings(lease=3600.0, store_timeout=5.0)


class Client:
    """A provider without a health check."""


class Checked:
    """A provider whose health check takes a few steps of the loop."""

    async def is_healthy(self) -> bool:
        """Yes, in a while."""
        for _ in range(5):
            await asyncio.sleep(0)
        return True


async def make(_registration: Registration) -> Client:
    """A factory that takes a few steps of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)
    return Client()


PROVIDERS: dict[str, dict[str, Any]] = {
    "plain": {"provider": Client()},
    "checked": {"provider": Checked()},
    "made": {"factory": make},
}

ACTS: dict[str, Act] = {
    "get_service": lambda registry: registry.get_service("h", "llm"),
    "explain": lambda registry: registry.explain("h", "llm"),
    "acheck_and_raise": lambda registry: registry.breaker("llm", "p").acheck_and_raise(),
    "arecord_success": lambda registry: registry.breaker("llm", "p").arecord_success(),
    "flush": lambda registry: registry.flush(),
    "refresh": lambda registry: registry.refresh(),
    "wait_ready": lambda registry: registry.wait_ready(5.0, ["llm", "memory"]),
    "health_check_all": lambda registry: registry.health_check_all(),
}


async def cancelled_after(steps: int, work: Awaitable[Any]) -> bool:
    """Cancel it after so many steps of the loop; whether it had not ended by then."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        if task.done():
            break
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        assert not ended
    return not ended


async def cancel_everywhere(registry: ServiceRegistry, act: str, kind: str) -> int:
    """Cancel one operation after no step, after one, and so on; how many steps it has."""
    registry.register("h", "llm", name="p", circuit_breaker_config=QUICK, **PROVIDERS[kind])
    breaker = registry.breaker("llm", "p")
    await breaker.arecord_failure()
    await asyncio.sleep(0.005)
    before = asyncio.all_tasks()
    steps = 0
    most = 40 if act == "wait_ready" else 400  # waiting for what is not there has no end
    while await cancelled_after(steps, ACTS[act](registry)) and steps < most:
        # A permit that was taken on the way is free again at once, not when its lease ends.
        if act in {"get_service", "explain", "acheck_and_raise"}:
            await registry.flush()
            await async_wait_until(breaker.ais_available)
        if act == "wait_ready":
            registry.register("h", "llm", Client(), name=f"more{steps % 3}")
        steps += 1
    await registry.flush()
    if act in {"get_service", "acheck_and_raise"}:
        # The last one was not cancelled, and holds the permit if there was one to hold.
        await breaker.arecord_success()
    await async_wait_until(lambda: asyncio.all_tasks() <= before)
    assert await registry.get_service("h", "llm") is not None
    return steps


async def main(url: str, kind: str) -> None:
    """Each operation has a namespace of its own."""
    for number, act in enumerate(ACTS):
        async with ServiceRegistry(
            url=url, settings=CALM, consistency="exact", namespace=f"act-{number}"
        ) as registry:
            steps = await cancel_everywhere(registry, act, kind)
        print(act, steps)  # noqa: T201 # read by the test


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
