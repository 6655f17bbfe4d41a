"""A process that probes alone while Redis is lost remembers that until both agree again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ciris_registry import CircuitBreakerConfig, CircuitBreakerError, ServiceRegistry
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

DUE = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.0, timeout_duration=60.0)
LATER = CircuitBreakerConfig(
    failure_threshold=1, recovery_timeout=60.0, backoff_multiplier=2.0, max_recovery_timeout=600.0
)


class Client:
    """A provider."""


async def cut_off(registry: ServiceRegistry, config: CircuitBreakerConfig) -> None:
    """The breaker is open and known; Redis is lost, and no task reconciles."""
    registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=config)
    await registry.breaker("llm", "shared").arecord_failure()
    await registry.refresh()
    for task in list(registry._session._tasks):
        if "_supervised" in str(task.get_coro()):
            task.cancel()
    registry._parts.connectivity.mark_lost("a test")


async def reread(registry: ServiceRegistry) -> None:
    """Redis answers again, and this process reads its state before both agree."""
    registry._parts.connectivity.mark_answering()
    store = await registry._session.store()
    await registry._parts.single_flights.of("llm").reload(store)


async def test_a_second_outage_before_both_agree_grants_no_second_probe(
    new_registry: New,
) -> None:
    registry = new_registry()
    await cut_off(registry, DUE)
    handle = registry.breaker("llm", "shared")
    await async_wait_until(handle.is_available)
    await handle.acheck_and_raise()

    await reread(registry)
    registry._parts.connectivity.mark_lost("again")

    with pytest.raises(CircuitBreakerError):
        await handle.acheck_and_raise()


async def test_once_both_agree_the_shared_state_leads(new_registry: New) -> None:
    registry = new_registry()
    await cut_off(registry, DUE)
    handle = registry.breaker("llm", "shared")
    await async_wait_until(handle.is_available)
    await handle.acheck_and_raise()
    await reread(registry)
    assert not handle.is_available()

    registry._parts.connectivity.mark_connected()

    assert handle.is_available()


async def test_the_later_wait_of_a_probe_that_failed_alone_is_kept(new_registry: New) -> None:
    registry = new_registry()
    await cut_off(registry, LATER)
    replica, handle = registry._parts.replicas.of("llm"), registry.breaker("llm", "shared")
    shared = replica.snapshot.breakers["shared"].retry_at
    registry._parts.breakers.of("llm", "shared").apply_optimistically(
        lambda state, now: state._open(now)
    )
    later = replica.snapshot.breakers["shared"].retry_at
    assert later > shared

    await reread(registry)

    assert replica.snapshot.breakers["shared"].retry_at == later
    assert replica.authoritative("shared").retry_at == shared  # type: ignore[union-attr]
    assert not handle.is_available()
