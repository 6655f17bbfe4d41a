"""The permits that this process holds: each for one provider, and none that has ended."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from ciris_registry.shared_breaker.permits import HeldPermit, HeldPermits
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    New = Callable[..., ServiceRegistry]

UNHURRIED = RegistrySettings(store_timeout=5.0, success_report_interval=60.0)
PROBED = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.01, timeout_duration=0.1)


class Client:
    """A provider without a health check, whose probes are not reported."""


def test_a_permit_is_held_for_one_provider_only() -> None:
    permits = HeldPermits("A")
    permits.keep("llm", "a", HeldPermit("A|1", 100), 50)
    assert permits.drop_ended("llm", "a", 99)
    assert not permits.drop_ended("llm", "b", 99)
    assert not permits.drop_ended("memory", "a", 99)


def test_permits_that_have_ended_are_dropped_by_the_next_permit_and_the_next_question() -> None:
    permits = HeldPermits("A")
    for number in range(1000):
        permits.keep("llm", "a", HeldPermit(f"A|{number}", number + 10), number)
    assert len(permits.held["llm", "a"]) == 10
    assert not permits.drop_ended("llm", "a", 5000)
    assert not permits.held


async def test_a_probe_without_an_outcome_does_not_end_the_batches_of_other_providers(
    new_registry: New,
) -> None:
    """From then on, every success of every provider cost a round trip."""
    registry = new_registry(consistency="cached", settings=UNHURRIED)
    registry.register("h", "llm", Client(), name="probed", circuit_breaker_config=PROBED)
    registry.register("h", "memory", Client(), name="well")
    await registry.flush()
    await registry.breaker("llm", "probed").arecord_failure()

    async def probed() -> bool:
        return await registry.get_service("h", "llm") is not None

    for probes in range(1, 4):
        await async_wait_until(probed)
        assert len(registry._parts.permits.held["llm", "probed"]) == 1, probes
        registry.breaker("memory", "well").record_success()
        assert registry.health().pending_successes == probes

    own = registry.breaker("llm", "probed")
    await own.arecord_success()
    assert own.get_stats()["success_count"] == 1, "its own outcome settles it"


async def test_a_success_of_a_closed_breaker_is_batched_again_once_its_permits_have_ended(
    new_registry: New,
) -> None:
    registry = new_registry(consistency="cached", settings=UNHURRIED)
    registry.register("h", "llm", Client(), name="probed", circuit_breaker_config=PROBED)
    await registry.flush()
    own = registry.breaker("llm", "probed")
    registry._parts.permits.keep(
        "llm", "probed", HeldPermit("A|1", own._breaker.replica.now() + 30_000), 0
    )
    own.record_success()
    assert registry.health().pending_successes == 0, "it may be the outcome of the permit"

    registry._parts.permits.keep(
        "llm", "probed", HeldPermit("A|1", own._breaker.replica.now() - 1), 0
    )
    own.record_success()
    assert registry.health().pending_successes == 1


async def test_a_permit_that_has_ended_when_its_reply_is_read_is_not_used(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped while it waited probed at the same time as the next holder."""
    registry, other = (new_registry(settings=UNHURRIED) for _ in range(2))
    for one in (registry, other):
        one.register("h", "llm", Client(), name="probed", circuit_breaker_config=PROBED)
        await one.flush()
    await registry.breaker("llm", "probed").arecord_failure()
    await asyncio.sleep(0.02)
    stored = (await registry._session.store()).breakers
    acquire = stored.acquire

    async def late(*args: Any) -> Any:
        answer = await acquire(*args)
        time.sleep(0.15)  # noqa: ASYNC251 # as if the process was stopped
        assert await other.get_service("h", "llm") is not None, "the next one has a permit"
        return answer

    monkeypatch.setattr(stored, "acquire", late)
    assert await registry.get_service("h", "llm") is None
    await registry.flush()
    assert not registry._parts.permits.held


async def test_the_permit_of_a_successful_probe_refused_its_provider_until_it_ended(
    new_registry: New,
) -> None:
    """A program that asks ``is_available`` first waited ``timeout_duration`` for each probe."""
    registry = new_registry(consistency="cached", settings=UNHURRIED)
    three = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.0, success_threshold=3)
    registry.register("h", "llm", Client(), name="probed", circuit_breaker_config=three)
    breaker = registry.breaker("llm", "probed")
    await breaker.arecord_failure()

    async def probes() -> bool:
        return await registry.get_service("h", "llm") is not None

    await async_wait_until(probes)  # this process's estimate of the server's clock may lag by 1 ms

    await breaker.arecord_success()

    assert breaker.state == "half_open"
    assert breaker.is_available()
    assert breaker.get_stats()["retry_after"] is None
