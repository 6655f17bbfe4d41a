"""What a process does with the breaker of a provider of the service type ``llm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def state(agent: AgentState) -> str:
    """The state as this process knows it."""
    return agent.handle.state.value


async def is_available(agent: AgentState) -> bool:
    """Whether this process would call the provider."""
    return agent.handle.is_available()


async def ais_available(agent: AgentState) -> bool:
    """As ``is_available``, asked of Redis."""
    return await agent.handle.ais_available()


async def aget_stats(agent: AgentState) -> dict[str, Any]:
    """State and counters in Redis."""
    return await agent.handle.aget_stats()


async def arecord_failure(agent: AgentState, name: str = "shared") -> str:
    """Await one failure, and return the state after it."""
    return (await agent.breaker(name).arecord_failure()).value


async def arecord_failures(agent: AgentState, times: int) -> list[str]:
    """Await failures one after another, and return the state after each."""
    return [(await agent.handle.arecord_failure()).value for _ in range(times)]


async def arecord_success(agent: AgentState) -> str:
    """Await one success, and return the state after it."""
    return (await agent.handle.arecord_success()).value


async def record_failures(agent: AgentState, times: int) -> None:
    """Record failures that are sent later."""
    for _ in range(times):
        agent.handle.record_failure()


async def record_successes(agent: AgentState, times: int) -> None:
    """Record successes that are sent later."""
    for _ in range(times):
        agent.handle.record_success()


async def flush_failures(agent: AgentState, times: int = 1) -> None:
    """Record failures, and wait until they are in Redis."""
    await record_failures(agent, times)
    await agent.registry.flush()


async def reset(agent: AgentState, reason: str) -> None:
    """Reset the breaker."""
    await agent.handle.areset(reason)


async def force_open(agent: AgentState, name: str, reason: str, duration: float) -> None:
    """Force a breaker open in the whole fleet."""
    await agent.breaker(name).aforce_open(reason, duration)
