"""Processes before and during an outage: broken breakers, overrides, no way to Redis."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import UnixDomainSocketConnection

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Wire:
    """How connections are opened while this process is not cut off."""

    def __init__(self) -> None:
        self.connect = UnixDomainSocketConnection._connect


class Watching:
    """Counts how often the breaker admits, half a millisecond apart."""

    def __init__(self, agent: AgentState) -> None:
        self.admitted = 0
        self.task = asyncio.ensure_future(self._watch(agent))

    async def _watch(self, agent: AgentState) -> None:
        while True:
            self.admitted += agent.handle.is_available()
            await asyncio.sleep(0.0005)


async def break_all(agent: AgentState) -> None:
    """Let one breaker open by failures, one by an override, and one cool down."""
    for _ in range(5):
        await agent.handle.arecord_failure()
    await agent.registry.breaker("llm", "forced").aforce_open("maintenance", duration=500)
    await agent.registry.breaker("llm", "cooling").acool_down(400)


async def open_by_failures(agent: AgentState) -> None:
    """Record five failures, and await the last."""
    for _ in range(4):
        agent.handle.record_failure()
    await agent.handle.arecord_failure()


async def cut_off(agent: AgentState) -> None:
    """Refuse the connections of this process alone."""

    async def refused(_: Any) -> None:
        raise ConnectionRefusedError("cut off")

    agent.keep(Wire())
    UnixDomainSocketConnection._connect = refused  # type: ignore[method-assign]
    store = agent.registry._session._store
    assert store is not None
    store.renew_connection()
    for _ in range(2):
        await agent.registry.get_service("h", "llm", consistency="exact")
        await asyncio.sleep(0.1)


async def connect_again(agent: AgentState) -> None:
    """Let connections be opened again."""
    UnixDomainSocketConnection._connect = agent.kept(Wire).connect  # type: ignore[method-assign]


async def force_open(agent: AgentState) -> None:
    """Force the breaker open without waiting for Redis."""
    agent.handle.force_open("no more of it", 500)


async def watch(agent: AgentState) -> None:
    """Begin to ask whether the breaker admits."""
    agent.keep(Watching(agent))


async def stop_watching(agent: AgentState) -> int:
    """Stop, and return how often it did."""
    watching = agent.kept(Watching)
    watching.task.cancel()
    return watching.admitted


async def count_admitted(agent: AgentState) -> int:
    """How often the breaker admits within two seconds, in which each resolve finds a provider."""
    end, seen = time.monotonic() + 2, 0
    while time.monotonic() < end:
        seen += agent.handle.is_available()
        assert (await agent.registry.get_service("h", "llm")) is not None
        await asyncio.sleep(0.002)
    return seen
