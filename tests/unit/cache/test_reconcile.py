"""Coming back: suspended from the first answer of Redis until everything is reconciled."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ciris_registry import CircuitBreakerConfig, CircuitState, RegistrySettings, ServiceRegistry
from ciris_registry.errors import StoreUnavailableError
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest


class Client:
    """A provider."""


def reconciling(
    registry: ServiceRegistry, monkeypatch: pytest.MonkeyPatch, step: Callable[[], Awaitable[None]]
) -> None:
    """Lose Redis, and do ``step`` as one of the steps when it is back."""
    monkeypatch.setattr(registry._parts.write_queue, "deliver", step)
    registry._parts.connectivity.mark_lost("a test")


async def test_a_process_that_redis_returns_to_makes_no_probe_while_another_may_hold_the_permit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.0)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        begun.set()
        await go_on.wait()

    async with ServiceRegistry(url="memory://") as registry:
        registry.register_global("llm", Client(), name="one", circuit_breaker_config=config)
        await registry.flush()
        handle = registry.breaker("llm", "one")
        await handle.arecord_failure()
        await async_wait_until(lambda: handle.state is CircuitState.HALF_OPEN)

        reconciling(registry, monkeypatch, step)
        await begun.wait()

        assert await registry.get_service("h", "llm") is None
        health = registry.health()
        assert (health.redis, health.error, health.outages) == ("suspended", "a test", 1)
        go_on.set()
        await async_wait_until(lambda: registry.health().ok)
        assert await registry.get_service("h", "llm") is not None


async def test_reconciling_that_fails_is_the_same_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def step() -> None:
        seen.append(registry.health().redis)
        if len(seen) < 3:
            raise StoreUnavailableError("memory://", "read-only")

    registry = ServiceRegistry(url="memory://", settings=RegistrySettings())
    states: list[str] = []
    async with registry:
        await registry.flush()
        connectivity = registry._parts.connectivity
        connectivity.on_change(lambda: states.append(connectivity.state))
        with caplog.at_level(logging.WARNING):
            reconciling(registry, monkeypatch, step)
            await async_wait_until(lambda: registry.health().ok)

        assert seen == ["suspended"] * 3
        assert states == ["lost", "suspended"] * 3 + ["connected"]
        assert registry.health().outages == 1
        lines = [record.getMessage()[:14] for record in caplog.records]
        assert lines == ["Redis is away;", "Redis is back "]


async def test_a_closed_registry_stays_lost() -> None:
    registry = ServiceRegistry(url="memory://")
    connectivity = registry._parts.connectivity
    connectivity.mark_lost("a test")
    connectivity.close("this registry is closed")
    connectivity.mark_answering()
    assert connectivity.state == "lost"
