"""A process that opens a breaker, and one that starts afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def open_breaker(agent: AgentState) -> None:
    """Register the provider, and fail until its breaker is open."""
    config = CircuitBreakerConfig(recovery_timeout=600)
    agent.registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    for _ in range(5):
        await agent.handle.arecord_failure()


async def call(agent: AgentState) -> int:
    """Register the provider, and return how often a resolve finds it."""
    agent.registry.register_global("llm", Client(), name="shared")
    called = 0
    for _ in range(15):
        called += await agent.registry.get_service("h", "llm") is not None
        await asyncio.sleep(0.02)
    return called
