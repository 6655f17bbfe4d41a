"""Some calls may wait long for a Redis that hangs; a resolve at the same time does not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from ciris_registry import ServiceRegistry
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fleet.server import Server

SOON = 2.5
"""Seconds: far less than any command may take, and far more than a resolve does."""


class Client:
    """A provider."""


@pytest.fixture(params=["cached", "exact"])
async def registry(
    request: pytest.FixtureRequest, server: Server
) -> AsyncIterator[ServiceRegistry]:
    registry = ServiceRegistry(url=server.url, consistency=request.param)
    registry.register("h", "llm", Client(), name="one")
    await registry.flush()
    yield registry
    server.thaw()
    await registry.aclose()


async def resolved(registry: ServiceRegistry) -> float:
    began = time.monotonic()
    assert await registry.get_service("h", "llm") is not None
    return time.monotonic() - began


async def test_a_resolve_does_not_wait_behind_a_refresh(
    registry: ServiceRegistry, server: Server
) -> None:
    """It waited five seconds, until the refresh had failed."""
    await resolved(registry)
    await asyncio.sleep(0.1)
    server.freeze()
    refreshing = asyncio.create_task(registry.refresh("llm"))
    await asyncio.sleep(0.01)
    registry._parts.replicas.of("llm").distrust()

    times = await asyncio.gather(*(resolved(registry) for _ in range(5)))

    assert max(times) < SOON
    server.thaw()
    await asyncio.gather(refreshing, return_exceptions=True)


async def test_a_first_load_behind_the_watcher_takes_no_longer_than_any(
    registry: ServiceRegistry, server: Server
) -> None:
    """It took five seconds, in which health() reported Redis as connected, without a log line."""
    server.freeze()

    assert await resolved(registry) < 2 + SOON

    assert registry.health().redis != "connected"
    await async_wait_until(lambda: registry.health().redis == "lost")
    server.thaw()
    await async_wait_until(lambda: registry.health().ok)
