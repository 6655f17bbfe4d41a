"""Outcomes that are reported in batches."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def register(agent: AgentState) -> None:
    """Register a provider that opens by a streak only."""
    config = CircuitBreakerConfig(failure_threshold=5, failure_rate_threshold=None)
    agent.registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=config)
    assert await agent.registry.get_service("h", "llm") is not None
    await agent.registry.flush()
    await asyncio.sleep(0.1)


async def record_for(
    agent: AgentState, seconds: float, outcome: str, every: float, *, held: bool
) -> None:
    """Record the same outcome again and again, by one handle or by a new one each time."""
    if not held:
        agent.drop_handle()  # no handle is held between two calls
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if held:
            (agent.handle.record_success if outcome == "success" else agent.handle.record_failure)()
        elif outcome == "success":
            agent.registry.breaker("llm", "shared").record_success()
        else:
            agent.registry.breaker("llm", "shared").record_failure()
        await asyncio.sleep(every)


async def record_one_failure_in_a_hundred(agent: AgentState) -> None:
    """Record a thousand outcomes by chance."""
    chance = random.Random(agent.registry.process_id)
    for turn in range(1000):
        failed = chance.random() < 0.01
        (agent.handle.record_failure if failed else agent.handle.record_success)()
        if turn % 5 == 0:
            await asyncio.sleep(0.005)
    await agent.registry.flush()


async def fail(agent: AgentState) -> None:
    """Report a failure that is younger than what was recorded before."""
    await asyncio.sleep(0.01)
    agent.handle.record_failure()
    await agent.registry.flush()
