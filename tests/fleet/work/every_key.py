"""Processes whose use of a namespace makes a key of every kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ciris_registry import CircuitBreakerConfig, SelectionStrategy
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from tests.fleet.work.state import AgentState

LONG: Final = CircuitBreakerConfig(recovery_timeout=600)
PROBED: Final = CircuitBreakerConfig(
    failure_threshold=1, recovery_timeout=0.2, success_threshold=1, timeout_duration=600
)


class Holding:
    """Admissions that are held: a slot and, in the process that probes, a permit."""

    def __init__(self) -> None:
        self.open: list[AbstractAsyncContextManager[object]] = []


async def register(agent: AgentState) -> None:
    """Register providers for states of each kind, and two that take turns."""
    registry = agent.registry
    for name in ("opened", "forced", "cooling", "tripped"):
        registry.register("states", "llm", Client(name), name=name, circuit_breaker_config=LONG)
    registry.register(
        "probe", "llm", Client("probed"), name="probed", circuit_breaker_config=PROBED
    )
    registry.register("limit", "llm", Client("limited"), name="limited", max_in_flight=5)
    for name in ("left", "right"):
        registry.register_global(
            "llm", Client(name), name=name, strategy=SelectionStrategy.ROUND_ROBIN
        )
    await registry.flush()
    await registry.refresh()
    agent.keep(Holding())


async def decide(agent: AgentState) -> None:
    """Open, force open and cool down a breaker each; begin a probe that does not end."""
    registry = agent.registry
    for _ in range(5):
        await registry.breaker("llm", "opened").arecord_failure()
    await registry.breaker("llm", "forced").aforce_open("maintenance", 600)
    await registry.breaker("llm", "cooling").acool_down(500.0, "HTTP 429")
    await registry.breaker("llm", "probed").arecord_failure()
    await asyncio.sleep(0.25)
    await _hold(agent, "probe")


async def hold_slot(agent: AgentState) -> None:
    """Begin a call of the provider with a limit that does not end."""
    await _hold(agent, "limit")


async def fail_alone(agent: AgentState, *, fails: bool) -> None:
    """Report a failure of ``tripped``, or a success."""
    breaker = agent.registry.breaker("llm", "tripped")
    await (breaker.arecord_failure() if fails else breaker.arecord_success())


async def release(agent: AgentState) -> None:
    """End what is held."""
    for one in agent.kept(Holding).open:
        await one.__aexit__(None, None, None)


async def reasons(agent: AgentState) -> dict[str, str]:
    """Why each provider of the handler ``states`` is refused."""
    explained = await agent.registry.explain("states", "llm")
    return {one.name: one.reason for one in explained if one.scope == "states"}


async def _hold(agent: AgentState, handler: str) -> None:
    held = agent.registry.acquire(handler, "llm")
    await held.__aenter__()
    agent.kept(Holding).open.append(held)
