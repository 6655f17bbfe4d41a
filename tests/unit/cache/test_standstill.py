"""A process that has stood still asks once more before it goes by old data; no other one does."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest

from ciris_registry import CircuitState, ServiceRegistry
from ciris_registry.cache.standstill import Standstill

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]


class Client:
    """A provider."""


@pytest.mark.parametrize(("late", "stood_still"), [(0.2, False), (0.3, True), (1.2, True)])
async def test_a_timer_that_rings_late_shows_a_standstill(
    monkeypatch: pytest.MonkeyPatch, late: float, *, stood_still: bool
) -> None:
    watched = Standstill()
    watched.watch()
    loop = watched.loop
    assert loop is not None
    rings = watched._due + late
    monkeypatch.setattr(time, "monotonic", lambda: rings)

    watched._look(loop)

    assert watched.ended_at == (rings if stood_still else -math.inf)


async def test_the_timer_ends_once_it_is_not_used_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Standstill()
    watched.watch()
    loop, later = watched.loop, watched.used_at + 3.0
    assert loop is not None
    monkeypatch.setattr(time, "monotonic", lambda: later)

    watched._look(loop)

    assert watched.loop is None


async def test_a_process_that_was_stopped_does_not_call_a_provider_that_has_opened(
    new_registry: New,
) -> None:
    """Its question after the stop was answered too late."""
    one, other = new_registry(), new_registry()
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="shared")
        assert await registry.get_service("h", "llm") is not None
    for _ in range(5):
        await other.breaker("llm", "shared").arecord_failure()
    assert other.breaker("llm", "shared").state is CircuitState.OPEN
    one._parts.replicas.of("llm").heard_at = time.monotonic() - 5
    one._parts.single_flights._standstill.ended_at = time.monotonic() + 5  # a slow machine
    one._parts.connectivity.suspect("no answer within 0.05 s")

    assert await one.get_service("h", "llm") is None
