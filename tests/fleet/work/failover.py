"""Guarded calls of two providers, of which the first fails or hangs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerConfig, Priority

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Provider:
    """Answers, fails or hangs, and counts its calls."""

    def __init__(self, state: str) -> None:
        self.state, self.reached = state, 0

    async def serve(self) -> str:
        """One call."""
        self.reached += 1
        await asyncio.sleep(0.005)
        if self.state == "dead":
            raise ConnectionError("dead")
        if self.state == "hanging":
            await asyncio.sleep(60)
        return self.state


class Two:
    """The two providers of the process."""

    def __init__(self, state: str) -> None:
        self.bad, self.good = Provider(state), Provider("well")


async def prepare(agent: AgentState, state: str, failure_threshold: int, timeout: float) -> None:
    """Register the two, with the bad one first."""
    config = CircuitBreakerConfig(
        failure_threshold=failure_threshold, recovery_timeout=60, timeout_duration=timeout
    )
    two = Two(state)
    agent.keep(two)
    for name, provider, priority in (
        ("shared", two.bad, Priority.HIGH),
        ("good", two.good, Priority.NORMAL),
    ):
        agent.registry.register_global(
            "llm", provider, priority, circuit_breaker_config=config, name=name
        )
    await agent.registry.flush()


async def call(agent: AgentState, times: int, timeout: float) -> list[Any]:
    """Call so often: the errors, the calls of the bad and the good provider, and the slow ones."""
    errors: list[str] = []
    slow = 0
    for _ in range(times):
        began = time.monotonic()
        try:
            assert await agent.registry.call("h", "llm", Provider.serve) == "well"
        except Exception as error:  # noqa: BLE001 # the test looks at it
            errors.append(repr(error))
        slow += time.monotonic() - began > timeout
    two = agent.kept(Two)
    return [errors, two.bad.reached, two.good.reached, slow]
