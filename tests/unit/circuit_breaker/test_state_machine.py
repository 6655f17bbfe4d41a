"""The state machine: what is stored, and what programs are shown."""

from __future__ import annotations

import pytest

from ciris_registry import CircuitBreakerConfig, CircuitState, ServiceRegistry
from ciris_registry.circuit_breaker.state_machine import BreakerState
from tests.waiting import async_wait_until

NOW = 1_000_000
CONFIG = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=10.0, half_open_max_calls=1)
LATER = NOW + 10_000


@pytest.fixture
def opened() -> BreakerState:
    breaker = BreakerState(CONFIG)
    breaker.record(NOW, "failure")
    return breaker


def test_an_open_breaker_reads_half_open_once_an_admission_would_be_a_probe(
    opened: BreakerState,
) -> None:
    assert opened.shown_state(LATER - 1) is CircuitState.OPEN
    assert opened.shown_state(LATER) is CircuitState.HALF_OPEN
    assert opened.state is CircuitState.OPEN, "the stored state"
    assert opened.generation == 1, "reading changes nothing"


def test_an_open_breaker_that_refuses_reads_open(opened: BreakerState) -> None:
    opened.cool_down(NOW, 60_000)
    assert opened.shown_state(LATER) is CircuitState.OPEN
    assert opened.shown_state(NOW + 60_000) is CircuitState.HALF_OPEN


@pytest.mark.parametrize("override", ["open", "closed"])
def test_an_override_is_shown_while_it_is_in_force(opened: BreakerState, override: str) -> None:
    opened.set_override(NOW, "open" if override == "open" else "closed", duration=20_000)
    assert opened.shown_state(LATER) == override
    assert opened.shown_state(NOW + 20_000) is CircuitState.HALF_OPEN
    assert opened.state is CircuitState.OPEN


async def test_the_state_in_redis_stays_open_until_a_probe_is_admitted(
    registry: ServiceRegistry,
) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.0)
    registry.register_global("llm", object(), name="one", circuit_breaker_config=config)
    handle = registry.breaker("llm", "one")
    await handle.arecord_failure()
    store = await registry._session.store()

    await async_wait_until(handle.ais_available)  # the estimate of the server's clock may lag
    assert handle.state is CircuitState.HALF_OPEN
    fields, permits, _ = await store.breakers.read("llm", "one")
    assert (fields["state"], permits) == ("open", {})

    await handle.acheck_and_raise()
    fields, permits, _ = await store.breakers.read("llm", "one")
    assert (fields["state"], len(permits)) == ("half_open", 1)


def test_a_success_after_the_threshold_was_lowered_opens_nothing() -> None:
    breaker = BreakerState(CircuitBreakerConfig(failure_threshold=5))
    for _ in range(3):
        breaker.record(NOW, "failure")
    breaker.config = CircuitBreakerConfig(failure_threshold=2)

    breaker.record_successes(NOW, 1, age=60_000)

    assert breaker.shown_state(NOW) is CircuitState.CLOSED
    breaker.record(NOW, "failure")
    assert breaker.shown_state(NOW) is CircuitState.OPEN
