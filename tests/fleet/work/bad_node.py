"""A process whose own calls fail, and others whose calls succeed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerConfig, NoProviderError
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def register(agent: AgentState, /, **config: Any) -> None:
    """Register the provider with these settings of its breaker, and resolve it."""
    settings = CircuitBreakerConfig(failure_threshold=5, **config)
    agent.registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=settings)
    await agent.registry.flush()
    assert await agent.registry.get_service("h", "llm") is not None
    await asyncio.sleep(0.1)


async def use(agent: AgentState, way: str, outcome: str, seconds: float) -> list[int]:
    """Use the provider with this outcome: the numbers of calls and of refusals."""
    one_use = {"guarded": _guarded, "plain": _plain, "awaited": _awaited}[way]
    calls = refused = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if await one_use(agent, outcome):
            calls += 1
        else:
            refused += 1
        await asyncio.sleep(0.02)
    await agent.registry.flush()
    return [calls, refused]


async def explain(agent: AgentState) -> list[Any]:
    """Whether the provider is chosen, why, and how long it is not."""
    [explained] = await agent.registry.explain("h", "llm")
    return [explained.verdict, explained.reason, explained.retry_after]


async def recover(agent: AgentState) -> list[list[bool]]:
    """Whether each of five resolves finds it during its trial, and after the trial's success."""
    at_once = [await agent.registry.get_service("h", "llm") is not None for _ in range(5)]
    await agent.handle.arecord_success()
    after = [await agent.registry.get_service("h", "llm") is not None for _ in range(5)]
    await agent.registry.flush()
    return [at_once, after]


async def fail_offline(agent: AgentState) -> bool:
    """Record five failures, and return whether the provider is still available."""
    for _ in range(5):
        agent.handle.record_failure()
    return agent.handle.is_available()


async def fail_and_flush(agent: AgentState) -> None:
    """Await five failures, and write what is pending."""
    for _ in range(5):
        await agent.handle.arecord_failure()
    await agent.registry.flush()


async def _guarded(agent: AgentState, outcome: str) -> bool:
    async def work(_: Client) -> None:
        if outcome == "failure":
            raise ConnectionError

    try:
        await agent.registry.call("h", "llm", work)
    except NoProviderError:
        return False
    except ConnectionError:
        return True
    return True


async def _plain(agent: AgentState, outcome: str) -> bool:
    if await agent.registry.get_service("h", "llm") is None:
        return False
    (agent.handle.record_failure if outcome == "failure" else agent.handle.record_success)()
    return True


async def _awaited(agent: AgentState, outcome: str) -> bool:
    if await agent.registry.get_service("h", "llm") is None:
        return False
    await (agent.handle.arecord_failure if outcome == "failure" else agent.handle.arecord_success)()
    return True
