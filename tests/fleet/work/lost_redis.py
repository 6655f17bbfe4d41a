"""Processes that keep using providers while Redis loses all that it has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ciris_registry import CircuitBreakerConfig
from ciris_registry.errors import StoreError
from tests.fleet.work import registries
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry import ServiceRegistry
    from tests.fleet.work.state import AgentState


def _record_and_resolve(registry: ServiceRegistry) -> Awaitable[object]:
    registry.breaker("llm", "well").record_failure()
    return registry.get_service("h", "llm")


CALLS: Final[dict[str, Callable[[ServiceRegistry], Awaitable[object]]]] = {
    "get_service": lambda registry: registry.get_service("h", "llm"),
    "an awaited outcome": lambda registry: registry.breaker("llm", "well").arecord_failure(),
    "a plain outcome and a resolve": _record_and_resolve,
    "admission": lambda registry: registry.breaker("llm", "well").acheck_and_raise(),
    "a cooldown": lambda registry: registry.breaker("llm", "cooling").acool_down(1),
    "unregistering": lambda registry: registry.aunregister("forced"),
    "wait_ready": lambda registry: registry.wait_ready(20, ["llm", "memory"]),
}
"""Calls that wait for Redis."""


class Waiting:
    """One of them, begun."""

    def __init__(self, call: Awaitable[object]) -> None:
        self.task = asyncio.ensure_future(call)


async def register(agent: AgentState) -> None:
    """Register four providers, each of which can be in another state."""
    long = CircuitBreakerConfig(recovery_timeout=600)
    for name in ("shared", "forced", "cooling", "well"):
        agent.registry.register("h", "llm", Client(), name=name, circuit_breaker_config=long)
    await agent.registry.flush()


async def bind(agent: AgentState) -> None:
    """Use a provider that another process may register."""
    agent.registry.bind("llm", Client())


async def first_explained(agent: AgentState) -> str:
    """The name of the provider that a resolve would choose."""
    return (await agent.registry.explain("h", "llm"))[0].name


async def explain_if_readable(agent: AgentState) -> list[list[str]]:
    """The name and reason of each provider; nothing while a key is damaged."""
    try:
        return await registries.explain(agent)
    except StoreError:
        return []


async def use_often(agent: AgentState) -> None:
    """Resolve and succeed three hundred times."""
    for _ in range(300):
        assert await agent.registry.get_service("h", "llm") is not None
        await agent.registry.breaker("llm", "well").arecord_success()


async def use_for(agent: AgentState, seconds: float) -> int:
    """Resolve and succeed for so long, and return how often."""
    served = 0
    ended = asyncio.ensure_future(asyncio.sleep(seconds))
    while not ended.done():
        assert await agent.registry.get_service("h", "llm") is not None
        await agent.registry.breaker("llm", "well").arecord_success()
        agent.registry.breaker("llm", "well").record_success()
        served += 1
    return served


async def begin_call(agent: AgentState, call: str) -> None:
    """Begin a call that Redis does not answer yet."""
    waiting = Waiting(CALLS[call](agent.registry))
    agent.keep(waiting)
    await asyncio.sleep(0.1)
    assert not waiting.task.done()


async def end_call(agent: AgentState) -> None:
    """Register what the call may wait for, and await it."""
    agent.registry.register_global("memory", Client())
    await asyncio.wait_for(agent.kept(Waiting).task, timeout=20)
