"""Calls of a provider with ``max_in_flight``, which counts its calls at another server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import redis.asyncio

from ciris_registry import NoProviderError, Priority
from tests.fleet.work.state import Client
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Upstream:
    """The server at which calls are counted."""

    def __init__(self, socket: str) -> None:
        self.client: Any = redis.asyncio.Redis(unix_socket_path=socket, decode_responses=True)


class Counted(Client):
    """A provider whose calls are counted."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        super().__init__(name)
        self._counting = upstream.client

    async def work(self) -> str:
        """Count a short call while it runs."""
        now = await self._counting.incr(self.name)
        try:
            await self._counting.lpush(self.name + ":seen", now)
            await asyncio.sleep(0.01)
            return self.name
        finally:
            await self._counting.decr(self.name)

    async def hang(self) -> None:
        """Make a call that does not end."""
        await asyncio.sleep(600)


class Holding:
    """Calls that do not end."""

    def __init__(self, agent: AgentState, number: int) -> None:
        registry = agent.registry
        self.tasks = [
            asyncio.create_task(registry.call("h", "llm", Counted.hang)) for _ in range(number)
        ]


async def prepare(agent: AgentState, socket: str, limit: int, *, spare: bool) -> None:
    """Register the provider, and another one without a limit if there is to be a spare one."""
    upstream = Upstream(socket)
    agent.keep(upstream)
    _register(agent, limit)
    if spare:
        agent.registry.register("h", "llm", Counted("large", upstream), Priority.LOW, name="large")
    await agent.registry.flush()
    await agent.registry.refresh()


async def change_limit(agent: AgentState, limit: int) -> None:
    """Register the provider with another limit."""
    _register(agent, limit)
    await agent.registry.flush()


async def call(agent: AgentState) -> list[str]:
    """A hundred calls, five at one time: the name of the provider of each, or ``none``."""

    async def caller() -> list[str]:
        answers: list[str] = []
        while len(answers) < 20:
            try:
                answers.append(await agent.registry.call("h", "llm", Counted.work))
            except NoProviderError as error:
                if [one.reason for one in error.reasons] != ["full"]:
                    raise
                answers.append("none")
                await asyncio.sleep(0.005)
        return answers

    answers = await asyncio.gather(*(caller() for _ in range(5)))
    return [name for answer in answers for name in answer]


async def call_with_retries(agent: AgentState) -> list[str]:
    """Five calls at one time, each retried until it has a slot."""
    calls = (agent.registry.call("h", "llm", Counted.work, retry=50) for _ in range(5))
    return await asyncio.gather(*calls)


async def hold(agent: AgentState, number: int) -> int:
    """Begin calls that do not end, and return how many slots they hold."""
    holding = Holding(agent, number)
    agent.keep(holding)
    slots = agent.registry._parts.concurrency_limit
    await async_wait_until(
        lambda: slots.held("llm", "small") >= sum(not task.done() for task in holding.tasks)
    )
    return slots.held("llm", "small")


async def let_go(agent: AgentState) -> None:
    """Cancel them."""
    for task in agent.kept(Holding).tasks:
        task.cancel()


async def try_once(agent: AgentState) -> Any:
    """Call once: ``taken``, or each reason why not and the time to wait."""
    try:
        await agent.registry.call("h", "llm", Counted.work, failover=False)
    except NoProviderError as error:
        return [[one.reason, one.retry_after] for one in error.reasons]
    return "taken"


def _register(agent: AgentState, limit: int) -> None:
    provider = Counted("small", agent.kept(Upstream))
    agent.registry.register("h", "llm", provider, Priority.HIGH, name="small", max_in_flight=limit)
