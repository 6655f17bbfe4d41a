"""Processes that call a provider again and again, and count."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerConfig, Priority
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState

_PAUSE = 0.004


class Load:
    """Calls through ``call`` until it ends; remembers what was called, and what was raised."""

    def __init__(self, agent: AgentState) -> None:
        self._registry = agent.registry
        self._done: dict[str, int] = {}
        self._errors: list[str] = []
        self._worst = 0.0
        self._going = True
        self._task = asyncio.ensure_future(self._call())

    def seen(self) -> dict[str, Any]:
        """What was seen until now: calls by provider, errors, the longest call in seconds."""
        return {"done": self._done, "errors": self._errors, "worst": self._worst}

    async def end(self) -> dict[str, Any]:
        """Stop calling, and let Redis know all; what was seen."""
        self._going = False
        await self._task
        await self._registry.flush()
        return self.seen()

    async def _call(self) -> None:
        async def answer(client: Client) -> str:
            return client.name

        while self._going:
            began = time.perf_counter()
            try:
                name = await self._registry.call("h", "llm", answer)
            except Exception as error:  # noqa: BLE001 # the test shows it
                self._errors.append(f"{type(error).__name__}: {error}")
            else:
                self._done[name] = self._done.get(name, 0) + 1
            self._worst = max(self._worst, time.perf_counter() - began)
            await asyncio.sleep(_PAUSE)


async def register(agent: AgentState) -> None:
    """Register two providers: ``first``, and ``second`` for the time when it is refused."""
    config = CircuitBreakerConfig(recovery_timeout=600, failure_rate_threshold=None)
    for name, priority in (("first", Priority.HIGH), ("second", Priority.LOW)):
        agent.registry.register_global(
            "llm", Client(name), priority, name=name, circuit_breaker_config=config
        )
    await agent.registry.flush()
    assert await agent.registry.get_service("h", "llm") is not None


async def begin(agent: AgentState) -> None:
    """Begin to call."""
    agent.keep(Load(agent))


async def seen(agent: AgentState) -> dict[str, Any]:
    """What was seen until now, and whether Redis is connected."""
    return {**agent.kept(Load).seen(), "connected": agent.registry.health().redis == "connected"}


async def end(agent: AgentState) -> dict[str, Any]:
    """Stop calling; what was seen."""
    return await agent.kept(Load).end()


async def open_first(agent: AgentState) -> None:
    """Open the breaker of ``first`` by its failures."""
    for _ in range(5):
        await agent.registry.breaker("llm", "first").arecord_failure()


async def state_of_first(agent: AgentState) -> str:
    """The state of the breaker of ``first``, as this process sees it."""
    return str(agent.registry.breaker("llm", "first").state)


async def successes(agent: AgentState) -> dict[str, int]:
    """How many successes Redis has counted, by provider."""
    await agent.registry.refresh()
    return {
        name: int(agent.registry.breaker("llm", name).get_stats()["total_successes"])
        for name in ("first", "second")
    }
