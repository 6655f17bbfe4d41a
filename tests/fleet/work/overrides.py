"""What a process notices of an operator's override, and events that an operator reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerError
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def reason_refused(agent: AgentState) -> str | None:
    """The reason of a refusal; None if the breaker admits a call."""
    try:
        await agent.handle.acheck_and_raise()
    except CircuitBreakerError as error:
        return error.reason
    return None


async def cause_events(agent: AgentState) -> None:
    """Open the breaker by failures, and register a provider of another service type."""
    for _ in range(5):
        agent.handle.record_failure()
    agent.registry.register_global("memory", Client(), name="new-type")
    await agent.registry.flush()
