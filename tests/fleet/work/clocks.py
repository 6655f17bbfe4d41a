"""A process whose clock may be wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def register(agent: AgentState) -> float:
    """Register the provider, and return what the clock shows."""
    quick = CircuitBreakerConfig(recovery_timeout=0.3, success_threshold=1)
    agent.registry.register_global("llm", Client(), name="shared", circuit_breaker_config=quick)
    await agent.registry.flush()
    assert agent.handle
    return time.time()


async def cool_down(agent: AgentState) -> None:
    """Begin a short cooldown."""
    await agent.handle.acool_down(0.4)


async def force_open(agent: AgentState) -> None:
    """Give a short override."""
    await agent.handle.aforce_open("test", 0.4)
