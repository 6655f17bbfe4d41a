"""Processes that keep calling one provider that is dead, and note each call that reaches it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn

from ciris_registry import CircuitBreakerConfig
from ciris_registry.errors import NoProviderError
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Calling:
    """Calls until it is ended. ``reached`` are the calls that reached the provider.

    Each is its begin and its end, which is 0 while it runs.
    """

    def __init__(self, agent: AgentState, per_second: float, seconds: float) -> None:
        self.reached: list[list[float]] = []
        self.refused = 0
        self._agent = agent
        self._seconds = seconds
        self.task = asyncio.ensure_future(self._call(1 / per_second))

    async def _call(self, pause: float) -> None:
        while True:
            try:
                await self._agent.registry.call("h", "llm", self._reach)
            except NoProviderError:
                self.refused += 1
            except ConnectionError:
                pass
            await asyncio.sleep(pause)

    async def _reach(self, _client: object) -> NoReturn:
        call = [time.time(), 0.0]
        self.reached.append(call)
        await asyncio.sleep(self._seconds)
        call[1] = time.time()
        raise ConnectionError("the provider is dead")


async def register(agent: AgentState, recovery_timeout: float, timeout_duration: float) -> None:
    """Register the provider ``shared``."""
    config = CircuitBreakerConfig(
        recovery_timeout=recovery_timeout, timeout_duration=timeout_duration
    )
    agent.registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=config)
    await agent.registry.flush()


async def begin(agent: AgentState, per_second: float, seconds: float) -> None:
    """Begin to call it so many times a second; a call that reaches it lasts so many seconds."""
    agent.keep(Calling(agent, per_second, seconds))


async def reached(agent: AgentState) -> list[list[float]]:
    """The calls that have reached the provider since the last time that this was asked."""
    calling = agent.kept(Calling)
    found, calling.reached = calling.reached, []
    return found


async def refused(agent: AgentState) -> int:
    """How many calls were refused."""
    return agent.kept(Calling).refused


async def end(agent: AgentState) -> None:
    """Call no more."""
    calling = agent.kept(Calling)
    calling.task.cancel()
    await asyncio.wait([calling.task])
