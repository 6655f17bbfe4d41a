"""Calls whose replies come later than store_timeout."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def probe(agent: AgentState) -> list[list[float]]:
    """Open a breaker and probe for two seconds: when each probe began and ended."""
    config = CircuitBreakerConfig(
        failure_threshold=1, recovery_timeout=0.2, success_threshold=100_000, timeout_duration=30
    )
    agent.registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    await agent.registry.get_service("h", "llm")
    await agent.handle.arecord_failure()
    calls: list[list[float]] = []
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        if await agent.registry.get_service("h", "llm") is not None:
            began = time.time()
            await asyncio.sleep(0.01)
            calls.append([began, time.time()])
            await agent.handle.arecord_success()
        await asyncio.sleep(0.005)
    return calls


async def register(agent: AgentState) -> None:
    """Register a provider whose breaker stays closed, and report a success."""
    config = CircuitBreakerConfig(failure_threshold=10_000, failure_rate_threshold=None)
    agent.registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    await agent.registry.get_service("h", "llm")
    await agent.handle.arecord_success()


async def cancel_reports(agent: AgentState) -> int:
    """Cancel reports after each number of steps, and return how many failures had begun."""
    reported = 0
    for steps in range(30):
        task = asyncio.ensure_future(agent.handle.arecord_failure())
        for _ in range(steps):
            await asyncio.sleep(0)
        reported += steps > 0  # else it has not begun
        task.cancel()
        flushing = asyncio.ensure_future(agent.registry.flush())
        agent.handle.record_success()
        for _ in range(steps):
            await asyncio.sleep(0)
        flushing.cancel()
        await asyncio.gather(task, flushing, return_exceptions=True)
    return reported
