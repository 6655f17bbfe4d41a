"""Whatever is cancelled, at whichever await: nothing stays taken, and the registry goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitBreakerConfig, RegistrySettings
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry import Registration, ServiceRegistry

    New = Callable[..., ServiceRegistry]
    Act = Callable[[ServiceRegistry], Awaitable[Any]]

QUICK = CircuitBreakerConfig(
    failure_threshold=1, recovery_timeout=0, success_threshold=1_000_000, timeout_duration=600.0
)
CALM = RegistrySettings(lease=3600.0)


class Client:
    """A provider without a health check."""


class Checked:
    """A provider whose health check takes a few steps of the loop."""

    async def is_healthy(self) -> bool:
        for _ in range(5):
            await asyncio.sleep(0)
        return True


async def make(_registration: Registration) -> Client:
    for _ in range(5):
        await asyncio.sleep(0)
    return Client()


async def probe(registry: ServiceRegistry) -> None:
    await registry.breaker("llm", "p").acheck_and_raise()


ACTS: dict[str, Act] = {
    "get_service": lambda registry: registry.get_service("h", "llm"),
    "explain": lambda registry: registry.explain("h", "llm"),
    "acheck_and_raise": probe,
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


@pytest.mark.parametrize("provider", ["plain", "checked", "made"])
@pytest.mark.parametrize("act", ACTS)
async def test_a_call_may_be_cancelled_at_every_step(
    new_registry: New, act: str, provider: str
) -> None:
    registry = new_registry(settings=CALM)
    ways: dict[str, dict[str, Any]] = {
        "plain": {"provider": Client()},
        "checked": {"provider": Checked()},
        "made": {"factory": make},
    }
    registry.register("h", "llm", name="p", circuit_breaker_config=QUICK, **ways[provider])
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
