"""Processes that use a provider until its breaker refuses."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def register(agent: AgentState) -> None:
    """Register the provider, and resolve it."""
    agent.registry.register("h", "llm", Client(), name="shared")
    assert await agent.registry.get_service("h", "llm") is not None


async def use_until_refused(agent: AgentState) -> list[float]:
    """Use it with success: how often, and when it was refused."""
    let_through = 0
    end = time.monotonic() + 10
    while await agent.registry.get_service("h", "llm") is not None:
        let_through += 1
        agent.handle.record_success()
        assert time.monotonic() < end, "it was never refused"
        await asyncio.sleep(0.005)
    return [let_through, time.time()]


async def force_open(agent: AgentState) -> float:
    """Force the breaker open, and return when."""
    await agent.handle.aforce_open("a test", 60)
    return time.time()


async def use_while_it_dies(agent: AgentState) -> int:
    """Use it with success for half a second, then in vain: how many failures until the refusal."""
    dead = time.time() + 0.5
    failed = 0
    while time.time() < dead + 5:
        if await agent.registry.get_service("h", "llm") is None:
            break
        if time.time() < dead:
            agent.handle.record_success()
        else:
            failed += 1
            agent.handle.record_failure()
        await asyncio.sleep(0.01)
    return failed
