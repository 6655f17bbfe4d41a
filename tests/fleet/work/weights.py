"""Processes that use providers by their weights."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry import SelectionStrategy
from tests.fleet.work.state import Client
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Counting(Client):
    """Counts the calls that it has, which do not end."""

    now = 0

    async def hang(self) -> None:
        """One call."""
        self.now += 1
        await asyncio.sleep(600)


async def register(agent: AgentState, weights: dict[str, int]) -> None:
    """Register a provider for each weight."""
    for name, weight in weights.items():
        agent.registry.register(
            "h", "llm", Client(name), strategy=SelectionStrategy.WEIGHTED, name=name, weight=weight
        )
    await agent.registry.flush()


async def resolve(agent: AgentState, times: int) -> list[str]:
    """Resolve so often, and return the names."""
    names: list[str] = []
    for turn in range(times):
        names.append((await agent.registry.get_service("h", "llm")).name)
        if turn % 50 == 0:
            await asyncio.sleep(0)
    return names


async def call(agent: AgentState, times: int) -> list[str]:
    """Call so often, and return the names."""

    async def name(client: Client) -> str:
        return client.name

    return [await agent.registry.call("h", "llm", name) for _ in range(times)]


async def call_the_least_loaded(agent: AgentState) -> dict[str, int]:
    """Begin twelve calls that do not end, and return how many each provider has."""
    clients = [Counting("heavy"), Counting("light")]
    for client, weight in zip(clients, (2, 1), strict=True):
        agent.registry.register(
            "h",
            "llm",
            client,
            strategy=SelectionStrategy.LEAST_LOADED,
            name=client.name,
            weight=weight,
        )
    await agent.registry.flush()
    calls: list[asyncio.Task[None]] = []
    for _ in range(12):
        calls.append(asyncio.create_task(agent.registry.call("h", "llm", Counting.hang)))
        await async_wait_until(lambda: sum(one.now for one in clients) == len(calls))
    for task in calls:
        task.cancel()
    return {client.name: client.now for client in clients}
