"""Calls of a provider that fails each time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def call(agent: AgentState, failure_threshold: int, recovery_timeout: float) -> list[float]:
    """Call it for four seconds whenever it is resolved, and return when."""
    config = CircuitBreakerConfig(
        failure_threshold=failure_threshold, recovery_timeout=recovery_timeout, timeout_duration=5
    )
    agent.registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    calls: list[float] = []
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        if await agent.registry.get_service("h", "llm") is not None:
            calls.append(time.time())
            await asyncio.sleep(0.02)  # the call, which is in flight during this
            agent.handle.record_failure()
        await asyncio.sleep(0.1)
    return calls
