"""The streak of one process alone: what ends it, and its trials."""

from __future__ import annotations

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    CircuitBreakerError,
    CircuitState,
    RegistrySettings,
    ServiceRegistry,
)
from ciris_registry.circuit_breaker.local_streak import LocalStreak, counted
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.circuit_breaker.states import UNTRACKED, Outcome, ReplyCode

NOW = 1_000_000
CONFIG = CircuitBreakerConfig(
    failure_threshold=2, recovery_timeout=60.0, timeout_duration=30.0, min_failing_processes=2
)


def breaker(own: LocalStreak | None = None) -> BreakerState:
    return BreakerState(CONFIG, own=own)


def after(
    own: LocalStreak | None, outcome: Outcome, permit: str = "", at: int = NOW
) -> LocalStreak | None:
    return counted(breaker(own), at, outcome, permit, None)


OPEN_HERE = LocalStreak(0, 2, NOW + 60_000)


def test_it_opens_here_at_the_threshold_for_the_recovery_timeout() -> None:
    one = after(None, "failure")
    assert one == LocalStreak(0, 1)
    assert breaker(one).refusal(NOW) is None
    assert after(one, "success") is None

    two = after(one, "failure")

    assert two == OPEN_HERE
    felt = breaker(two)
    assert felt.refusal(NOW) == ("open_locally", NOW + 60_000)
    assert felt.is_open_locally(NOW)
    assert felt.shown_state(NOW) is CircuitState.CLOSED, "it is closed for all others"
    assert felt.changes_at(NOW) == NOW + 60_000


@pytest.mark.parametrize("outcome", ["success", "failure"])
@pytest.mark.parametrize("permit", ["", "A|7"])
@pytest.mark.parametrize("later", [10, 70_000])
def test_outcomes_of_calls_that_began_before_change_nothing(
    outcome: Outcome, permit: str, later: int
) -> None:
    assert after(OPEN_HERE, outcome, permit, NOW + later) is OPEN_HERE


def test_one_trial_at_a_time_when_the_time_is_over() -> None:
    later = NOW + 60_000
    felt = breaker(OPEN_HERE)
    assert felt.acquire(later - 1, "A|1").refusal == ("open_locally", later)

    assert felt.acquire(later, "A|1").verdict is ReplyCode.PERMIT
    assert felt.acquire(later, "A|2").refusal == ("open_locally", later + 30_000)
    assert felt.permits == {}, "nobody else's business"

    trial = felt.local
    assert after(trial, "success", "A|1", later + 5) is None
    failed = after(trial, "failure", "A|1", later + 5)
    assert failed == LocalStreak(0, 3, later + 60_005)
    returned = breaker(after(trial, "released", "A|1", later + 5))
    assert returned.acquire(later + 5, "A|2").verdict is ReplyCode.PERMIT
    # A holder that never reports: its outcome comes too late, and the next one may try.
    assert after(trial, "success", "A|1", later + 30_000) is trial
    assert felt.acquire(later + 30_000, "A|2").verdict is ReplyCode.PERMIT


def test_who_only_asked_whether_it_is_available_has_tried_too() -> None:
    later = NOW + 60_000
    assert after(OPEN_HERE, "success", UNTRACKED, later - 1) is OPEN_HERE
    assert after(OPEN_HERE, "success", UNTRACKED, later) is None


@pytest.mark.parametrize("why", ["open", "half_open", "forced"])
def test_it_sleeps_while_all_have_decided_something_else(why: str) -> None:
    felt = breaker(OPEN_HERE)
    if why == "forced":
        felt.set_override(NOW, "closed")
    else:
        felt.state = CircuitState(why)
        felt.retry_at = NOW

    assert felt.refusal(NOW) is None
    assert not felt.is_open_locally(NOW)
    assert counted(felt, NOW, "failure", "", None) is OPEN_HERE


def test_an_outcome_of_another_generation_is_none_of_the_streak() -> None:
    felt = breaker()
    assert counted(felt, NOW, "failure", "", 7) is None


def test_a_server_with_an_earlier_clock_lengthens_nothing() -> None:
    trying = LocalStreak(0, 2, NOW + 1, "A|1", NOW + 2)
    assert trying.bounded(NOW, CONFIG) is trying
    ago = NOW - 500_000
    assert trying.bounded(ago, CONFIG) == LocalStreak(0, 2, ago + 60_000, "A|1", ago + 30_000)


class Client:
    """Any object."""


async def failing(registry: ServiceRegistry, **more: float) -> None:
    """A provider that needs two processes, and one process that fails twice."""
    config = CircuitBreakerConfig(failure_threshold=2, min_failing_processes=2, **more)  # type: ignore[arg-type]
    registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    await registry.flush()
    assert await registry.get_service("h", "llm") is not None
    handle = registry.breaker("llm", "shared")
    handle.record_failure()
    handle.record_failure()


@pytest.fixture(params=["cached", "exact"])
async def registry(request: pytest.FixtureRequest) -> ServiceRegistry:
    """On an imitation of its own."""
    settings = RegistrySettings(heartbeat_interval=0.5, lease=5.0)
    return ServiceRegistry(url="memory://", consistency=request.param, settings=settings)


async def test_the_very_next_line_sees_it(registry: ServiceRegistry) -> None:
    async with registry:
        await failing(registry)
        handle = registry.breaker("llm", "shared")

        assert not handle.is_available()
        assert handle.state is CircuitState.CLOSED, "it is the fleet's"
        assert handle.get_stats()["open_locally"]
        with pytest.raises(CircuitBreakerError) as refused:
            handle.check_and_raise()
        assert refused.value.reason == "open_locally"
        assert 59 < (refused.value.retry_after or 0) <= 60
        assert await registry.get_service("h", "llm") is None
        with pytest.raises(CircuitBreakerError):
            await handle.acheck_and_raise()


async def test_a_reset_ends_it_at_once(registry: ServiceRegistry) -> None:
    async with registry:
        await failing(registry)
        handle = registry.breaker("llm", "shared")
        handle.reset()
        assert handle.is_available()
        await registry.flush()
        assert await registry.get_service("h", "llm") is not None


async def test_a_trial_that_is_given_back_is_free_again(registry: ServiceRegistry) -> None:
    async with registry:
        await failing(registry, recovery_timeout=0.0)
        handle = registry.breaker("llm", "shared")
        await registry.flush()
        await handle.acheck_and_raise()
        with pytest.raises(CircuitBreakerError):
            await handle.acheck_and_raise()

        permit = registry._parts.permits.take("llm", "shared", 0)
        registry._parts.admissions.give_back(handle._shared, permit)

        await handle.acheck_and_raise()
        handle.record_success()
        assert not handle.get_stats()["open_locally"]
        await registry.flush()


async def test_asking_whether_it_is_available_and_recording_is_enough(
    registry: ServiceRegistry,
) -> None:
    async with registry:
        await failing(registry, recovery_timeout=0.0)
        await registry.flush()
        handle = registry.breaker("llm", "shared")
        handle.record_success()  # of a call that began before
        assert handle.get_stats()["open_locally"]
        assert handle.is_available()
        handle.record_success()
        assert not handle.get_stats()["open_locally"]


async def test_failed_health_checks_count(registry: ServiceRegistry) -> None:
    class Unhealthy:
        async def is_healthy(self) -> bool:
            return False

    config = CircuitBreakerConfig(failure_threshold=2, min_failing_processes=2)
    async with registry:
        registry.register_global("llm", Unhealthy(), name="ill", circuit_breaker_config=config)
        for _ in range(3):
            assert await registry.get_service("h", "llm") is None
        [told] = await registry.explain("h", "llm")
        assert told.reason == "open_locally"
        assert registry.breaker("llm", "ill").get_stats()["total_failures"] == 2


async def test_a_streak_that_is_short_shows_nowhere(registry: ServiceRegistry) -> None:
    async with registry:
        await failing(registry)
        handle = registry.breaker("llm", "shared")
        handle.reset()
        handle.record_failure()
        assert handle.is_available()
        handle.record_success()
        handle.record_failure()
        assert handle.is_available()
        handle.record_failure()
        assert not handle.is_available()
