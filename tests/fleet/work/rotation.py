"""Processes that resolve providers in turn."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ciris_registry import SelectionStrategy
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def register(agent: AgentState) -> None:
    """Register four providers that take turns."""
    for name in "abcd":
        agent.registry.register(
            "h", "llm", Client(name), strategy=SelectionStrategy.ROUND_ROBIN, name=name
        )
    await agent.registry.flush()


async def bind(agent: AgentState, names: str) -> None:
    """Use providers of these names that another process has registered."""
    for name in names:
        agent.registry.bind(name, Client(name))


async def resolve(agent: AgentState, times: int) -> list[str | None]:
    """Resolve one after another, and return the names."""
    return [await _resolved(agent) for _ in range(times)]


async def resolve_at_once(agent: AgentState, times: int) -> list[str | None]:
    """Resolve concurrently, and return the names."""
    got = await asyncio.gather(*(agent.registry.get_service("h", "llm") for _ in range(times)))
    return [getattr(one, "name", None) for one in got]


async def resolve_with_times(agent: AgentState, times: int) -> list[list[Any]]:
    """Resolve one after another, and return each name and when."""
    names: list[list[Any]] = []
    for _ in range(times):
        name = await _resolved(agent)
        names.append([name, time.monotonic()])
    return names


async def count_resolved(agent: AgentState, times: int) -> dict[str, int]:
    """Resolve one after another, and return how often each name came."""
    names: dict[str, int] = {}
    for turn in range(times):
        service = await agent.registry.get_service("h", "llm")
        names[service.name] = names.get(service.name, 0) + 1
        if turn % 50 == 0:
            await asyncio.sleep(0)
    return names


async def leave_after(agent: AgentState, turns: int) -> float:
    """Unregister one provider when the fleet has made so many turns, and return when."""
    while True:
        await asyncio.sleep(0.002)
        store = await agent.registry._session.store()
        if await store.snapshots.take_positions("llm", "h|0|2", 0) >= turns:
            break
    await agent.registry.aunregister("d")
    return time.monotonic()


async def resolve_and_leave_halfway(agent: AgentState, times: int) -> list[str | None]:
    """Resolve one after another, and unregister one provider in the middle."""
    names: list[str | None] = []
    for turn in range(times):
        if turn == times // 2:
            assert await agent.registry.aunregister("d")
        names.append(await _resolved(agent))
    return names


async def _resolved(agent: AgentState) -> str | None:
    return getattr(await agent.registry.get_service("h", "llm"), "name", None)
