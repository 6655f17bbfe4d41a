"""A process that records one success after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Counting:
    """Records successes, and counts them."""

    def __init__(self, agent: AgentState) -> None:
        self._agent = agent
        self.counted = 0
        self.task = asyncio.ensure_future(self._count())

    async def _count(self) -> None:
        while True:
            self._agent.handle.record_success()
            self.counted += 1
            await asyncio.sleep(0.002)


async def count(agent: AgentState) -> None:
    """Begin to record them."""
    well = CircuitBreakerConfig(failure_threshold=1000, failure_rate_threshold=None)
    for name in ("shared", "failing"):
        agent.registry.register_global("llm", Client(), name=name, circuit_breaker_config=well)
    await agent.registry.flush()
    agent.keep(Counting(agent))


async def counted(agent: AgentState) -> int:
    """How many have been recorded."""
    return agent.kept(Counting).counted
