"""Processes that report outcomes without a pause."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


class Reporting:
    """Reports by every way there is, in a steady mix that opens nothing, and counts both kinds."""

    def __init__(self, agent: AgentState) -> None:
        self._handle = agent.handle
        self._on = True
        self._reported = [0, 0]
        self._task = asyncio.ensure_future(self._report())

    async def end(self) -> list[int]:
        """Stop, and return the numbers of successes and failures."""
        self._on = False
        await self._task
        return self._reported

    async def _report(self) -> None:
        handle, n = self._handle, 0
        while self._on:
            n += 1
            failed = n % 3 == 0
            if n % 2:
                (handle.record_failure if failed else handle.record_success)()
            else:
                await (handle.arecord_failure if failed else handle.arecord_success)()
            self._reported[failed] += 1
            await asyncio.sleep(0.002)


async def report(agent: AgentState) -> None:
    """Begin to report."""
    agent.keep(Reporting(agent))


async def stop_reporting(agent: AgentState) -> list[int]:
    """Stop, write what is pending, and return the numbers of successes and failures."""
    reported = await agent.kept(Reporting).end()
    await agent.registry.flush()
    return reported


async def fail_and_succeed(agent: AgentState) -> None:
    """Report one of each, and write what is pending."""
    await agent.handle.arecord_failure()
    agent.handle.record_success()
    await agent.registry.flush()


async def fail_and_succeed_offline(agent: AgentState) -> None:
    """Record one of each while Redis is away."""
    agent.handle.record_failure()
    agent.handle.record_success()


async def succeed(agent: AgentState) -> None:
    """Record a success, and write what is pending."""
    agent.handle.record_success()
    await agent.registry.flush()
