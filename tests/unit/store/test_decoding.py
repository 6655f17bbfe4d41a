"""What Redis has of a breaker is read into the place where it belongs."""

from __future__ import annotations

from ciris_registry import CircuitBreakerConfig
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.store.decoding import COUNTERS, update_breaker


def test_each_counter_is_the_one_of_its_name() -> None:
    breaker = BreakerState(CircuitBreakerConfig())
    told = {name: str(number) for number, name in enumerate(COUNTERS, 1)}
    assert update_breaker(breaker, told) == []
    assert {name: getattr(breaker, name) for name in COUNTERS} == {
        name: int(number) for name, number in told.items()
    }
