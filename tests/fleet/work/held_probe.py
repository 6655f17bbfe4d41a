"""A process that holds the permit of a probe, and one that asks for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig, NoProviderError
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Holding:
    """A probe that does not end."""

    def __init__(self, agent: AgentState) -> None:
        self.task = asyncio.create_task(self._hold(agent))

    async def _hold(self, agent: AgentState) -> None:
        async with agent.registry.acquire("h", "llm"):
            await asyncio.sleep(600)


async def hold(agent: AgentState) -> None:
    """Open the breaker, and begin a probe."""
    config = CircuitBreakerConfig(
        failure_threshold=1, recovery_timeout=0, success_threshold=1000, timeout_duration=600
    )
    agent.registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=config)
    await agent.registry.flush()
    await agent.handle.arecord_failure()
    await asyncio.sleep(0.01)  # a recovery time of 0 is a millisecond
    holding = Holding(agent)
    agent.keep(holding)
    while not agent.registry._parts.breakers.of("llm", "shared").in_flight:
        assert not holding.task.done(), holding.task
        await asyncio.sleep(0.005)


async def enter(agent: AgentState) -> bool | str:
    """Whether a probe is admitted, or the reason why not."""
    if not agent.registry.get_services_by_type("llm"):
        agent.registry.register("h", "llm", Client(), name="shared")
        await agent.registry.flush()
    try:
        async with agent.registry.acquire("h", "llm"):
            return True
    except NoProviderError as error:
        return error.reasons[0].reason
