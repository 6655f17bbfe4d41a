"""Calls of a provider that answers with a Retry-After."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar

from ciris_registry import NoProviderError

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class LimitedError(Exception):
    """The answer of HTTP 429."""

    status_code = 429
    headers: ClassVar = {"Retry-After": "5"}


class Provider:
    """Notes when it was reached."""

    def __init__(self) -> None:
        self.reached: list[float] = []

    async def serve(self, limits: bool) -> None:
        """Answer, or ask the caller to wait."""
        self.reached.append(time.time())
        if limits:
            raise LimitedError


async def prepare(agent: AgentState) -> None:
    """Register the provider."""
    provider = Provider()
    agent.keep(provider)
    agent.registry.register_global("llm", provider, name="shared")
    await agent.registry.flush()


async def limit(agent: AgentState) -> float:
    """Get the Retry-After, and return when."""
    await _call(agent, limits=True)
    return agent.kept(Provider).reached[-1]


async def ask(agent: AgentState) -> list[Any]:
    """Call until the provider is reached: when that was, and how long the first answer said."""
    reached = agent.kept(Provider).reached
    reached.clear()
    waits: list[float | None] = []
    while not reached:
        waits.append(await _call(agent, limits=False))
        await asyncio.sleep(0.1)
    return [reached[0], waits[0]]


async def _call(agent: AgentState, *, limits: bool) -> float | None:
    try:
        await agent.registry.call("h", "llm", Provider.serve, limits)
    except (LimitedError, NoProviderError) as error:
        wait: float | None = getattr(error, "retry_after", None)
        return wait
    return None
