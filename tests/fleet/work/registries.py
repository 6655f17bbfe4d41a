"""What the registry of a process does on one request: flush, resolve, explain, look at Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def sleep(_: AgentState, seconds: float) -> None:
    """Let the tasks of the process go on."""
    await asyncio.sleep(seconds)


async def flush(agent: AgentState) -> None:
    """Write what is pending."""
    await agent.registry.flush()


async def refresh(agent: AgentState) -> None:
    """Reload the shared state."""
    await agent.registry.refresh()


async def close(agent: AgentState) -> None:
    """Close the registry."""
    await agent.registry.aclose()


async def find(agent: AgentState, handler: str = "h") -> bool:
    """Whether a resolve finds a provider."""
    return await agent.registry.get_service(handler, "llm") is not None


async def find_exactly(agent: AgentState) -> bool:
    """Whether a resolve that asks Redis finds a provider."""
    return await agent.registry.get_service("h", "llm", consistency="exact") is not None


async def found_name(agent: AgentState) -> str:
    """The name of the provider that a resolve finds."""
    name: str = (await agent.registry.get_service("h", "llm")).name
    return name


async def find_for(agent: AgentState, seconds: float) -> None:
    """Resolve without a pause for so long; each resolve finds a provider."""
    ended = asyncio.ensure_future(asyncio.sleep(seconds))
    while not ended.done():
        assert await agent.registry.get_service("h", "llm") is not None


async def explain(agent: AgentState) -> list[list[str]]:
    """The name and reason of each provider, in the order of the resolve."""
    return [[one.name, one.reason] for one in await agent.registry.explain("h", "llm")]


async def redis_state(agent: AgentState) -> str:
    """The state of Redis in ``health()``."""
    return agent.registry.health().redis


async def is_ok(agent: AgentState) -> bool:
    """Whether ``health()`` is ok."""
    return agent.registry.health().ok


async def outages(agent: AgentState) -> int:
    """The number of outages in ``health()``."""
    return agent.registry.health().outages


async def error(agent: AgentState) -> str:
    """The error in ``health()``."""
    return agent.registry.health().error
