"""Processes that ask for the permit of a probe, and note what time it is on the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import redis.asyncio

from ciris_registry import CircuitBreakerError, CircuitState
from tests.fleet.work import providers

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Asking:
    """Asks in one of two ways."""

    def __init__(self, url: str, way: str) -> None:
        self.client: Any = redis.asyncio.Redis.from_url(url)
        self._way = {"by_resolving": by_resolving, "by_the_handle": by_the_handle}[way]

    async def now(self) -> int:
        """The server's clock, in milliseconds."""
        seconds, micros = await self.client.time()
        now: int = seconds * 1000 + micros // 1000
        return now

    async def ask(self, agent: AgentState) -> bool:
        """Whether the process is admitted."""
        return await self._way(agent)


async def by_resolving(agent: AgentState) -> bool:
    """Ask by a resolve."""
    return await agent.registry.get_service("thinker", "llm") is not None


async def by_the_handle(agent: AgentState) -> bool:
    """Ask the breaker."""
    try:
        await agent.handle.acheck_and_raise()
    except CircuitBreakerError:
        return False
    return True


async def prepare(agent: AgentState, url: str, way: str, /, **config: Any) -> None:
    """Register the provider, and ask in this way from now on."""
    agent.keep(Asking(url, way))
    await providers.register_shared(agent, failure_threshold=1, **config)


async def ask(agent: AgentState) -> bool:
    """Whether the process is admitted."""
    return await agent.kept(Asking).ask(agent)


async def ask_until(agent: AgentState, end: int) -> dict[str, Any]:
    """Ask until then or until it is admitted; when each refusal was asked for and received."""
    asking = agent.kept(Asking)
    refused: list[list[int]] = []
    while (before := await asking.now()) < end:
        if await asking.ask(agent):
            return {"granted": True, "refused": refused}
        refused.append([before, await asking.now()])
        await asyncio.sleep(0.005)
    return {"granted": False, "refused": refused}


async def probe_until_closed(agent: AgentState) -> list[int]:
    """Probe with success until the breaker is closed: how many probes there were at each."""
    asking, handle = agent.kept(Asking), agent.handle
    probes: list[int] = []

    def is_closed() -> bool:
        return handle.state is CircuitState.CLOSED

    while not is_closed():
        if not await asking.ask(agent):
            continue
        await handle.aget_stats()
        if is_closed():
            break
        probes.append(await asking.client.incr("probing"))
        await asyncio.sleep(0.005)
        await asking.client.decr("probing")
        await handle.arecord_success()
    return probes
