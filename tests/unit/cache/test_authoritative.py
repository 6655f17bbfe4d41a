"""Two breakers are alike for whoever resolves only if nothing differs that decides who may call."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from ciris_registry import CircuitBreakerConfig, CircuitState
from ciris_registry.cache.snapshot import admit_alike
from ciris_registry.circuit_breaker.local_streak import LocalStreak
from ciris_registry.circuit_breaker.state_machine import BreakerState

DECISIVE: dict[str, Any] = {
    "state": CircuitState.OPEN,
    "generation": 1,
    "retry_at": 1,
    "cooldown_until": 1,
    "override": "open",
    "override_until": 1,
    "own": LocalStreak(until=1),
}
CLOSED = BreakerState(CircuitBreakerConfig())


@pytest.mark.parametrize("name", DECISIVE)
def test_what_decides_who_may_call_makes_a_difference(name: str) -> None:
    other = replace(CLOSED, **{name: DECISIVE[name]})
    assert not admit_alike(CLOSED, other)
    assert not admit_alike(other, CLOSED)
    assert admit_alike(other, replace(other))


@pytest.mark.parametrize("name", sorted({one.name for one in fields(CLOSED)} - {*DECISIVE}))
def test_all_else_makes_none(name: str) -> None:
    changed: dict[str, Any] = {name: "another"}
    assert admit_alike(CLOSED, replace(CLOSED, **changed))


def test_a_streak_of_here_that_has_opened_nothing_makes_none() -> None:
    assert admit_alike(CLOSED, replace(CLOSED, own=LocalStreak(failures=2)))
