"""Two states of a breaker admit alike only if no field differs that decides on admission."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from ciris_registry import CircuitBreakerConfig, CircuitState
from ciris_registry.cache.replica.authoritative import admit_alike
from ciris_registry.circuit_breaker.local_streak import LocalStreak
from ciris_registry.circuit_breaker.state_machine import BreakerState

DECISIVE: dict[str, Any] = {
    "state": CircuitState.OPEN,
    "generation": 1,
    "retry_at": 1,
    "cooldown_until": 1,
    "override": "open",
    "override_until": 1,
    "local": LocalStreak(until=1),
}
CLOSED = BreakerState(CircuitBreakerConfig())


@pytest.mark.parametrize("name", DECISIVE)
def test_a_field_that_decides_on_admission_makes_a_difference(name: str) -> None:
    other = replace(CLOSED, **{name: DECISIVE[name]})
    assert not admit_alike(CLOSED, other)
    assert not admit_alike(other, CLOSED)
    assert admit_alike(other, replace(other))


@pytest.mark.parametrize("name", sorted({one.name for one in fields(CLOSED)} - {*DECISIVE}))
def test_every_other_field_makes_no_difference(name: str) -> None:
    changed: dict[str, Any] = {name: "another"}
    assert admit_alike(CLOSED, replace(CLOSED, **changed))


def test_a_local_streak_below_the_threshold_makes_no_difference() -> None:
    assert admit_alike(CLOSED, replace(CLOSED, local=LocalStreak(failures=2)))
