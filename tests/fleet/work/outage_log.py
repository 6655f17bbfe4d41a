"""The log of a process about outages, and many resolves when one begins."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState

_log = logging.getLogger("ciris_registry.store.connection.connectivity")


class Kept(logging.Handler):
    """Keeps the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


async def keep_log(agent: AgentState) -> None:
    """Begin to keep messages."""
    kept = Kept()
    agent.keep(kept)
    _log.addHandler(kept)


async def kept_log(agent: AgentState) -> list[str]:
    """Stop, and return them."""
    kept = agent.kept(Kept)
    _log.removeHandler(kept)
    return kept.lines


async def resolve_staggered(agent: AgentState) -> list[float]:
    """Begin ten resolves one after another, and return when each ended."""

    async def ask(after: float) -> float:
        await asyncio.sleep(after)
        assert await agent.registry.get_service("h", "llm") is not None
        return time.perf_counter()

    return await asyncio.gather(*(ask(0.05 * n) for n in range(10)))
