"""Health checks that fail, and what a process thinks of the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerError
from tests.fleet.work import providers

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Unhealthy:
    """A provider whose health check says no."""

    async def is_healthy(self) -> bool:
        """Say no."""
        return False


async def register_unhealthy(agent: AgentState) -> None:
    """Register it."""
    agent.registry.register_global("llm", Unhealthy(), name="shared")
    await agent.registry.flush()


async def look(agent: AgentState) -> list[Any]:
    """Whether it is admitted, resolved and available, and the state of its breaker."""
    try:
        await agent.handle.acheck_and_raise()
        admitted = True
    except CircuitBreakerError:
        admitted = False
    found = await agent.registry.get_service("thinker", "llm") is not None
    return [admitted, found, agent.handle.is_available(), agent.handle.state.value]


async def register_and_look(agent: AgentState) -> list[Any]:
    """Register the provider and ``look`` at once."""
    await providers.register_shared(agent)
    return await look(agent)
