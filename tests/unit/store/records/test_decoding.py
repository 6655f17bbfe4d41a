"""Each field of a breaker's hash is read into the attribute of its name."""

from __future__ import annotations

from ciris_registry import CircuitBreakerConfig
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.store.records.decoding import COUNTERS, update_breaker


def test_each_counter_is_read_into_the_attribute_of_its_name() -> None:
    breaker = BreakerState(CircuitBreakerConfig())
    fields = {name: str(number) for number, name in enumerate(COUNTERS, 1)}
    assert update_breaker(breaker, fields) == []
    assert {name: getattr(breaker, name) for name in COUNTERS} == {
        name: int(number) for name, number in fields.items()
    }
