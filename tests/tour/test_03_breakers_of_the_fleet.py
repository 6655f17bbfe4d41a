"""One breaker for each provider, shared by every process."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    CircuitBreakerError,
    CircuitState,
    Priority,
    ServiceRegistry,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

QUICK = CircuitBreakerConfig(failure_threshold=2, recovery_timeout=0.05, success_threshold=2)
TWICE = CircuitBreakerConfig(failure_threshold=2, recovery_timeout=60.0)
"""Stays open for the rest of a test: an open breaker whose time has come reads half-open."""


class Client:
    """A provider without a health check."""


class Checked:
    """A provider with a health check."""

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.asked = 0

    async def is_healthy(self) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_failures_anywhere_open_the_breaker_everywhere(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="shared")
        await registry.flush()
    for registry in (one, other, one, other):
        assert await registry.breaker("llm", "shared").arecord_failure() is CircuitState.CLOSED
    assert await one.get_service("h", "llm") is not None
    assert await one.breaker("llm", "shared").arecord_failure() is CircuitState.OPEN
    assert await other.get_service("h", "llm") is None
    assert not await other.breaker("llm", "shared").ais_available()


async def test_the_next_line_sees_an_outcome(registry: ServiceRegistry) -> None:
    name = registry.register("h", "llm", Client(), circuit_breaker_config=TWICE)
    breaker = registry.breaker("llm", name)
    breaker.record_failure()
    assert breaker.get_stats()["failure_count"] == 1
    breaker.record_failure()
    assert breaker.state.value == "open"
    assert not breaker.is_available()
    with pytest.raises(CircuitBreakerError, match=f"Circuit breaker '{name}' is open, service un"):
        breaker.check_and_raise()
    info = registry.get_provider_info()
    assert info["handlers"]["h"]["llm"][0]["circuit_breaker_state"] == "open"
    assert info["circuit_breaker_stats"][name]["state"] == "open"


async def test_resolving_is_not_a_success(registry: ServiceRegistry) -> None:
    name = registry.register("h", "llm", Checked(), circuit_breaker_config=TWICE)
    breaker = registry.breaker("llm", name)
    await breaker.arecord_failure()
    for _ in range(5):
        assert await registry.get_service("h", "llm") is not None
    assert await breaker.arecord_failure() is CircuitState.OPEN


async def test_half_open_lets_one_probe_through_and_not_all(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=QUICK)
        await registry.flush()
    for _ in range(2):
        await one.breaker("llm", "shared").arecord_failure()
    await asyncio.sleep(0.06)
    for _ in range(2):
        got = [await registry.get_service("h", "llm") for registry in (one, other, one, other)]
        assert [instance is not None for instance in got] == [True, False, False, False]
        await one.breaker("llm", "shared").arecord_success()
    assert await other.get_service("h", "llm") is not None
    assert one.breaker("llm", "shared").state.value == "closed"


async def test_a_failed_probe_opens_again_and_a_stale_failure_prolongs_nothing(
    registry: ServiceRegistry,
) -> None:
    name = registry.register("h", "llm", Client(), circuit_breaker_config=QUICK)
    breaker = registry.breaker("llm", name)
    for _ in range(2):
        await breaker.arecord_failure()
    await asyncio.sleep(0.06)
    await breaker.acheck_and_raise()
    assert await breaker.arecord_failure() is CircuitState.OPEN
    before = (await breaker.aget_stats())["retry_after"] or 0
    for _ in range(5):
        await breaker.arecord_failure()
    assert ((await breaker.aget_stats())["retry_after"] or 0) <= before


async def test_reading_does_not_change_a_state(registry: ServiceRegistry) -> None:
    name = registry.register("h", "llm", Client(), circuit_breaker_config=QUICK)
    breaker = registry.breaker("llm", name)
    for _ in range(2):
        await breaker.arecord_failure()
    await asyncio.sleep(0.06)
    for _ in range(3):
        assert await breaker.ais_available()
        assert breaker.state == "half_open", "an admission would be a probe"
        assert breaker.get_stats()["generation"] == 1


async def test_a_program_that_only_uses_is_available_recovers_too(
    registry: ServiceRegistry,
) -> None:
    name = registry.register("h", "llm", Client(), circuit_breaker_config=QUICK)
    breaker = registry.breaker("llm", name)
    for _ in range(2):
        breaker.record_failure()
    await registry.flush()
    await asyncio.sleep(0.06)
    for _ in range(2):
        assert breaker.is_available()
        breaker.record_success()
    await registry.flush()
    assert breaker.state.value == "closed"


async def test_a_false_health_check_is_a_failure_and_the_next_provider_serves(
    registry: ServiceRegistry,
) -> None:
    ill, spare = Checked(answer=False), Client()
    registry.register("h", "llm", ill, Priority.HIGH, name="ill", circuit_breaker_config=TWICE)
    registry.register("h", "llm", spare)
    assert await registry.get_service("h", "llm") is spare
    assert registry.breaker("llm", "ill").get_stats()["failure_count"] == 1
    assert await registry.get_service("h", "llm") is spare
    assert await registry.get_service("h", "llm") is spare
    assert ill.asked == 2
    assert registry.breaker("llm", "ill").state.value == "open"


@pytest.mark.parametrize("answer", [RuntimeError("down"), 0, "", None])
async def test_an_exception_or_a_false_value_is_unhealthy(
    registry: ServiceRegistry, answer: Any
) -> None:
    registry.register("h", "llm", Checked(answer=answer), name="ill")
    assert await registry.get_service("h", "llm") is None
    assert registry.breaker("llm", "ill").get_stats()["failure_count"] == 1


async def test_a_health_check_that_cannot_be_awaited_is_unhealthy(
    registry: ServiceRegistry,
) -> None:
    class Plain:
        def is_healthy(self) -> bool:
            return True

    registry.register("h", "llm", Plain(), name="plain")
    assert await registry.get_service("h", "llm") is None


async def test_a_hanging_health_check_ends_with_the_timeout_of_the_breaker(
    registry: ServiceRegistry,
) -> None:
    class Hanging:
        async def is_healthy(self) -> bool:
            await asyncio.sleep(60)
            return True

    config = CircuitBreakerConfig(timeout_duration=0.05)
    registry.register("h", "llm", Hanging(), name="hanging", circuit_breaker_config=config)
    started = time.monotonic()
    assert await registry.get_service("h", "llm") is None
    assert time.monotonic() - started < 30
    assert registry.breaker("llm", "hanging").get_stats()["failure_count"] == 1


async def test_concurrent_resolves_share_one_health_check_and_one_failure(
    registry: ServiceRegistry,
) -> None:
    ill = Checked(answer=False)
    registry.register("h", "llm", ill, name="ill")
    await registry.get_service("h", "llm")
    got = await asyncio.gather(*(registry.get_service("h", "llm") for _ in range(30)))
    assert set(got) == {None}
    assert ill.asked <= 4
    assert registry.breaker("llm", "ill").get_stats()["failure_count"] == ill.asked


async def test_a_true_health_check_is_the_success_of_a_probe(registry: ServiceRegistry) -> None:
    checked = Checked()
    name = registry.register("h", "llm", checked, circuit_breaker_config=QUICK)
    breaker = registry.breaker("llm", name)
    for _ in range(2):
        await breaker.arecord_failure()
    await asyncio.sleep(0.06)
    assert await registry.get_service("h", "llm") is checked
    assert breaker.state.value == "half_open"
    assert await registry.get_service("h", "llm") is checked
    assert breaker.state.value == "closed"


@pytest.mark.parametrize("registered", [True, False])
async def test_closing_a_registry_releases_its_probe_at_once(
    new_registry: New, registered: bool
) -> None:
    one, other = new_registry(), new_registry()
    other.register("h", "llm", Client(), name="a", circuit_breaker_config=QUICK)
    await other.flush()
    if registered:
        one.register("h", "llm", Client(), name="a", circuit_breaker_config=QUICK)
    else:
        one.bind("a", Client())
    for _ in range(2):
        await other.breaker("llm", "a").arecord_failure()
    await asyncio.sleep(0.06)
    assert await one.get_service("h", "llm") is not None
    assert await other.get_service("h", "llm") is None
    await one.aclose()
    assert await other.get_service("h", "llm") is not None


async def test_an_override_stands_until_it_is_cleared(new_registry: New) -> None:
    one, operator = new_registry(), new_registry()
    one.register("h", "llm", Client(), name="a", circuit_breaker_config=QUICK)
    await one.flush()
    handle = operator.breaker("llm", "a")
    await handle.aforce_open("maintenance until noon")
    assert await one.get_service("h", "llm") is None
    [line] = await one.explain("h", "llm")
    assert (line.verdict, line.reason) == ("rejected", "forced_open")
    override = (await one.breaker("llm", "a").aget_stats())["override"]
    assert override["reason"] == "maintenance until noon"
    assert override["actor"] == operator.process_id
    await handle.aforce_close("we know better")
    for _ in range(5):
        await one.breaker("llm", "a").arecord_failure()
    assert await one.get_service("h", "llm") is not None
    await handle.aclear_override()
    assert await one.get_service("h", "llm") is not None
    assert one.breaker("llm", "a").config == QUICK


async def test_an_override_ends_after_its_duration(registry: ServiceRegistry) -> None:
    name = registry.register("h", "llm", Client())
    await registry.breaker("llm", name).aforce_open("short", duration=0.05)
    assert await registry.get_service("h", "llm") is None
    await asyncio.sleep(0.06)
    assert await registry.get_service("h", "llm") is not None


async def test_a_cooldown_is_not_a_failure_and_the_later_deadline_counts(
    new_registry: New,
) -> None:
    one, other = new_registry(), new_registry()
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="a")
        await registry.flush()
    await one.breaker("llm", "a").acool_down(30.0, "HTTP 429")
    await other.breaker("llm", "a").acool_down(5.0)
    assert await other.get_service("h", "llm") is None
    stats = await other.breaker("llm", "a").aget_stats()
    assert stats["failure_count"] == 0
    assert stats["state"] == "closed"
    assert stats["retry_after"] > 25


async def test_a_reset_closes_the_breaker_for_the_whole_fleet(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    one.register("h", "llm", Client(), name="a", circuit_breaker_config=TWICE)
    other.bind("a", Client())
    for _ in range(2):
        await one.breaker("llm", "a").arecord_failure()
    assert await other.get_service("h", "llm") is None
    other.reset_circuit_breakers()
    assert await other.get_service("h", "llm") is not None
    assert await one.get_service("h", "llm") is not None


async def test_with_backoff_each_opening_in_a_row_lasts_longer(registry: ServiceRegistry) -> None:
    config = CircuitBreakerConfig(
        failure_threshold=1,
        recovery_timeout=0.05,
        backoff_multiplier=100.0,
        max_recovery_timeout=4.0,
    )
    name = registry.register("h", "llm", Client(), circuit_breaker_config=config)
    breaker = registry.breaker("llm", name)
    await breaker.arecord_failure()
    await asyncio.sleep(0.06)
    await breaker.acheck_and_raise()
    await breaker.arecord_failure()
    assert 3.0 < breaker.get_stats()["retry_after"] <= 4.0


async def test_a_breaker_without_a_registration_can_be_used_too(new_registry: New) -> None:
    one, other = new_registry(), new_registry()
    for _ in range(5):
        await one.breaker("tool", "search").arecord_failure()
    with pytest.raises(CircuitBreakerError) as refused:
        await other.breaker("tool", "search").acheck_and_raise()
    assert refused.value.reason == "open"
    assert 0 < (refused.value.retry_after or 0) <= 60


async def test_health_check_all_checks_all_instances_and_records_nothing(
    registry: ServiceRegistry,
) -> None:
    registry.register("h", "llm", Checked(), name="well")
    registry.register_global("llm", Checked(answer=False), name="ill")
    registry.register("h", "llm", Client(), name="silent")
    assert await registry.health_check_all() == {"h.llm.well": True, "global.llm.ill": False}
    assert registry.breaker("llm", "ill").get_stats()["failure_count"] == 0


async def test_one_health_check_is_one_probe_for_all_concurrent_resolves(
    registry: ServiceRegistry,
) -> None:
    class Slow(Checked):
        async def is_healthy(self) -> Any:
            self.asked += 1
            await asyncio.sleep(0.05)
            return True

    slow = Slow()
    config = CircuitBreakerConfig(
        failure_threshold=1, recovery_timeout=0.01, success_threshold=3, half_open_max_calls=3
    )
    name = registry.register("h", "llm", slow, circuit_breaker_config=config)
    breaker = registry.breaker("llm", name)
    await breaker.arecord_failure()
    await asyncio.sleep(0.02)

    got = await asyncio.gather(*(registry.get_service("h", "llm") for _ in range(3)))

    assert got == [slow] * 3
    assert slow.asked == 1
    assert (await breaker.aget_stats())["success_count"] == 1
    assert breaker.state.value == "half_open"


async def test_a_health_check_from_before_a_reset_is_no_failure_after_it(
    registry: ServiceRegistry,
) -> None:
    answer = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()

    class Late:
        async def is_healthy(self) -> Any:
            begun.set()
            return await answer

    name = registry.register("h", "llm", Late())
    breaker = registry.breaker("llm", name)
    await breaker.arecord_failure()
    asked = asyncio.create_task(registry.get_service("h", "llm"))
    await begun.wait()
    await breaker.areset()
    answer.set_result(False)

    assert await asked is None
    assert (await breaker.aget_stats())["failure_count"] == 0


async def test_a_failing_factory_is_logged_once(
    registry: ServiceRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.register("h", "llm", factory=lambda _: None, name="empty")
    for _ in range(2):
        assert await registry.get_service("h", "llm") is None
    assert [record for record in caplog.records if "returned None" in record.message]
    assert len(caplog.records) == 1
