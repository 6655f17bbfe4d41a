"""The local streak of one process: when it opens the breaker locally, its trials, its end."""

from __future__ import annotations

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    CircuitBreakerError,
    CircuitState,
    RegistrySettings,
    ServiceRegistry,
)
from ciris_registry.cache.replica.change import ExpectedBreaker
from ciris_registry.circuit_breaker.local_streak import LocalStreak, after_outcome
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.circuit_breaker.states import UNTRACKED, Outcome, ReplyCode

NOW = 1_000_000
CONFIG = CircuitBreakerConfig(
    failure_threshold=2, recovery_timeout=60.0, timeout_duration=30.0, min_failing_processes=2
)


def breaker(local: LocalStreak | None = None) -> BreakerState:
    return BreakerState(CONFIG, local=local)


def after(
    local: LocalStreak | None,
    outcome: Outcome,
    permit: str = "",
    at: int = NOW,
    *,
    current: bool = True,
) -> LocalStreak | None:
    return after_outcome(local, CONFIG, at, outcome, permit, changed_at=0, current=current)


OPEN_LOCALLY = LocalStreak(0, 2, NOW + 60_000)


def test_failures_up_to_the_threshold_open_the_breaker_locally() -> None:
    one = after(None, "failure")
    assert one == LocalStreak(0, 1)
    assert breaker(one).refusal(NOW) is None
    assert after(one, "success") is None

    two = after(one, "failure")

    assert two == OPEN_LOCALLY
    state = breaker(two)
    assert state.refusal(NOW) == ("open_locally", NOW + 60_000)
    assert state.is_open_locally(NOW)
    assert state.shown_state(NOW) is CircuitState.CLOSED, "the shared breaker is closed"
    assert state.changes_at(NOW) == NOW + 60_000


@pytest.mark.parametrize("outcome", ["success", "failure"])
@pytest.mark.parametrize("permit", ["", "A|7"])
@pytest.mark.parametrize("later", [10, 70_000])
def test_outcomes_of_calls_from_before_the_opening_change_nothing(
    outcome: Outcome, permit: str, later: int
) -> None:
    assert after(OPEN_LOCALLY, outcome, permit, NOW + later) is OPEN_LOCALLY


def test_after_the_recovery_timeout_one_trial_at_a_time_is_admitted() -> None:
    later = NOW + 60_000
    state = breaker(OPEN_LOCALLY)
    assert state.acquire(later - 1, "A|1").refusal == ("open_locally", later)

    assert state.acquire(later, "A|1").code is ReplyCode.PERMIT
    assert state.acquire(later, "A|2").refusal == ("open_locally", later + 30_000)
    assert state.permits == {}, "a trial takes no shared permit"

    trial = state.local
    assert after(trial, "success", "A|1", later + 5) is None
    failed = after(trial, "failure", "A|1", later + 5)
    assert failed == LocalStreak(0, 3, later + 60_005)
    released = breaker(after(trial, "released", "A|1", later + 5))
    assert released.acquire(later + 5, "A|2").code is ReplyCode.PERMIT
    # A trial that is not reported in time: its outcome is stale, and the next trial is admitted.
    assert after(trial, "success", "A|1", later + 30_000) is trial
    assert state.acquire(later + 30_000, "A|2").code is ReplyCode.PERMIT


def test_an_outcome_after_asking_is_available_is_a_trial_once_the_time_is_over() -> None:
    later = NOW + 60_000
    assert after(OPEN_LOCALLY, "success", UNTRACKED, later - 1) is OPEN_LOCALLY
    assert after(OPEN_LOCALLY, "success", UNTRACKED, later) is None


@pytest.mark.parametrize("why", ["open", "half_open", "forced"])
def test_a_local_streak_stands_still_while_the_shared_breaker_is_not_closed(why: str) -> None:
    parts = ServiceRegistry(url="memory://")._parts
    shared = parts.breakers.of("llm", "shared")
    now = shared.replica.now()
    local = LocalStreak(0, 2, now + 60_000)
    state = breaker(local)
    if why == "forced":
        state.set_override(now, "closed")
    else:
        state.state = CircuitState(why)
        state.retry_at = now
    shared.replica.apply(ExpectedBreaker("shared", state))

    assert state.refusal(now) is None
    assert not state.is_open_locally(now)
    assert not shared.count_locally("failure", "", None)
    assert not shared.count_locally("success", UNTRACKED, None)
    assert shared.known.local is local


def test_an_outcome_of_another_generation_does_not_count() -> None:
    assert after(None, "failure", current=False) is None
    assert after(LocalStreak(0, 1), "failure", current=False) == LocalStreak(0, 1)


def test_a_server_with_an_earlier_clock_does_not_prolong_a_local_opening() -> None:
    trying = LocalStreak(0, 2, NOW + 1, "A|1", NOW + 2)
    assert trying.bounded(NOW, CONFIG) is trying
    ago = NOW - 500_000
    assert trying.bounded(ago, CONFIG) == LocalStreak(0, 2, ago + 60_000, "A|1", ago + 30_000)


class Client:
    """A provider without methods."""


async def failing(registry: ServiceRegistry, **more: float) -> None:
    """One process fails twice with a provider whose breaker needs two failing processes."""
    config = CircuitBreakerConfig(failure_threshold=2, min_failing_processes=2, **more)  # type: ignore[arg-type]
    registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    await registry.flush()
    assert await registry.get_service("h", "llm") is not None
    handle = registry.breaker("llm", "shared")
    handle.record_failure()
    handle.record_failure()


@pytest.fixture(params=["cached", "exact"])
async def registry(request: pytest.FixtureRequest) -> ServiceRegistry:
    """A registry on a private imitation of Redis."""
    settings = RegistrySettings(heartbeat_interval=0.5, lease=5.0)
    return ServiceRegistry(url="memory://", consistency=request.param, settings=settings)


async def test_a_local_opening_is_seen_on_the_next_line(registry: ServiceRegistry) -> None:
    async with registry:
        await failing(registry)
        handle = registry.breaker("llm", "shared")

        assert not handle.is_available()
        assert handle.state is CircuitState.CLOSED, "the state is the shared one"
        assert handle.get_stats()["open_locally"]
        with pytest.raises(CircuitBreakerError) as refused:
            handle.check_and_raise()
        assert refused.value.reason == "open_locally"
        assert 59 < (refused.value.retry_after or 0) <= 60
        assert await registry.get_service("h", "llm") is None
        with pytest.raises(CircuitBreakerError):
            await handle.acheck_and_raise()


async def test_a_reset_ends_a_local_opening_at_once(registry: ServiceRegistry) -> None:
    async with registry:
        await failing(registry)
        handle = registry.breaker("llm", "shared")
        handle.reset()
        assert handle.is_available()
        await registry.flush()
        assert await registry.get_service("h", "llm") is not None


async def test_a_released_trial_can_be_taken_again(registry: ServiceRegistry) -> None:
    async with registry:
        await failing(registry, recovery_timeout=0.0)
        handle = registry.breaker("llm", "shared")
        await registry.flush()
        await handle.acheck_and_raise()
        with pytest.raises(CircuitBreakerError):
            await handle.acheck_and_raise()

        permit = registry._parts.permits.take("llm", "shared", 0)
        registry._parts.resolver._admission._breaker_admission.release(handle._breaker, permit)

        await handle.acheck_and_raise()
        handle.record_success()
        assert not handle.get_stats()["open_locally"]
        await registry.flush()


async def test_is_available_and_an_outcome_make_a_trial(
    registry: ServiceRegistry,
) -> None:
    async with registry:
        await failing(registry, recovery_timeout=0.0)
        await registry.flush()
        handle = registry.breaker("llm", "shared")
        handle.record_success()  # of a call from before the opening
        assert handle.get_stats()["open_locally"]
        assert handle.is_available()
        handle.record_success()
        assert not handle.get_stats()["open_locally"]


async def test_failed_health_checks_count_in_the_local_streak(registry: ServiceRegistry) -> None:
    class Unhealthy:
        async def is_healthy(self) -> bool:
            return False

    config = CircuitBreakerConfig(failure_threshold=2, min_failing_processes=2)
    async with registry:
        registry.register_global("llm", Unhealthy(), name="ill", circuit_breaker_config=config)
        for _ in range(3):
            assert await registry.get_service("h", "llm") is None
        [line] = await registry.explain("h", "llm")
        assert line.reason == "open_locally"
        assert registry.breaker("llm", "ill").get_stats()["total_failures"] == 2


async def test_a_success_ends_a_short_local_streak(registry: ServiceRegistry) -> None:
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
