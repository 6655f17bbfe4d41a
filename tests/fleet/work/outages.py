"""Processes that resolve without a pause while Redis comes and goes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerConfig, Priority
from ciris_registry.errors import IndeterminateWriteError
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.fleet.work.state import AgentState


class Resolving:
    """Resolves once a millisecond until it ends; counts the waits that Redis did not answer."""

    def __init__(self, agent: AgentState) -> None:
        self._registry = agent.registry
        self._connectivity = agent.registry._parts.connectivity
        self._waits = 0
        self._going = True
        self._within_timeout = self._connectivity.within_timeout
        self._connectivity.within_timeout = self._counted  # type: ignore[method-assign]
        self._task = asyncio.ensure_future(self._resolve())

    async def end(self) -> dict[str, Any]:
        """Stop, and return what was seen."""
        self._going = False
        seen = await self._task
        self._connectivity.within_timeout = self._within_timeout  # type: ignore[method-assign]
        outages = self._registry.health().outages
        return {**seen, "waits": self._waits, "outages": outages}

    async def _counted(
        self, work: Coroutine[object, object, Any], limit: float | None = None
    ) -> Any:
        try:
            return await self._within_timeout(work, limit)
        except IndeterminateWriteError as error:
            self._waits += "no answer within" in str(error)
            raise

    async def _resolve(self) -> dict[str, Any]:
        took: list[float] = []
        none = 0
        while self._going:
            began = time.perf_counter()
            none += await self._registry.get_service("h", "llm") is None
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.001)
        slow = sum(one > 0.8 * self._connectivity.timeout for one in took)
        return {"resolves": len(took), "worst": max(took), "none": none, "slow": slow}


async def register(agent: AgentState) -> None:
    """Register two providers, the second one for the time when the first is refused."""
    config = CircuitBreakerConfig(recovery_timeout=600, failure_rate_threshold=None)
    agent.registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    agent.registry.register_global("llm", Client(), Priority.LOW, name="well")
    await agent.registry.flush()
    assert await agent.registry.get_service("h", "llm") is not None


async def resolve(agent: AgentState) -> None:
    """Begin to resolve."""
    agent.keep(Resolving(agent))


async def stop_resolving(agent: AgentState) -> dict[str, Any]:
    """Stop, and return what was seen."""
    return await agent.kept(Resolving).end()
