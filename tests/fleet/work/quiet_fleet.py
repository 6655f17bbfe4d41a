"""Processes that make no calls, and events of another service type."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Chatter:
    """Writes events of the service type ``memory`` until it ends."""

    def __init__(self, agent: AgentState) -> None:
        self._breaker = agent.registry.breaker("memory", "other")
        self.task = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        while True:
            await self._breaker.aforce_open("again", 60)
            await self._breaker.aclear_override()
            await asyncio.sleep(0.05)


async def register(agent: AgentState) -> None:
    """Register a provider that opens at its first failure, and resolve it."""
    long = CircuitBreakerConfig(recovery_timeout=600, failure_threshold=1)
    agent.registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=long)
    assert await agent.registry.get_service("h", "llm") is not None


async def chatter(agent: AgentState) -> None:
    """Begin to write events."""
    agent.registry.register("h", "memory", Client(), name="other")
    agent.keep(Chatter(agent))


async def end_chatter(agent: AgentState) -> None:
    """End it."""
    agent.kept(Chatter).task.cancel()
    await asyncio.sleep(0)
