"""``CircuitBreaker`` and ``BreakerHandle`` have the same methods, attributes and statistics."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitBreaker
from ciris_registry.shared_breaker.handle import BreakerHandle

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry import ServiceRegistry

METHODS = sorted(
    name
    for name, member in vars(CircuitBreaker).items()
    if not name.startswith("_") and inspect.isfunction(member)
)


ATTRIBUTES = sorted(
    name for name in dir(CircuitBreaker("a")) if not name.startswith("_") and name not in METHODS
)


@pytest.mark.parametrize("name", METHODS)
def test_the_signatures_are_the_same(name: str) -> None:
    here, shared = (
        [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]
        for method in (getattr(CircuitBreaker, name), getattr(BreakerHandle, name))
    )
    assert here == shared


def test_a_program_that_reads_a_breakers_counters_reads_them_of_a_shared_one_too(
    registry: ServiceRegistry,
) -> None:
    assert ATTRIBUTES == [
        "config",
        "failure_count",
        "last_failure_time",
        "name",
        "state",
        "success_count",
    ]
    here, shared = CircuitBreaker("a"), registry.breaker("llm", "a")
    assert {name: getattr(shared, name, "missing") for name in ATTRIBUTES} == {
        name: getattr(here, name) for name in ATTRIBUTES
    }


def closed(_: Any) -> None:
    pass


def opened(breaker: Any) -> None:
    for _ in range(5):
        breaker.record_failure()


def cooling(breaker: Any) -> None:
    breaker.cool_down(40.0, "HTTP 429")


def forced(breaker: Any) -> None:
    breaker.force_open("maintenance", 600.0)


def reset(breaker: Any) -> None:
    opened(breaker)
    breaker.reset("the provider was repaired")


DONE: list[Callable[[Any], None]] = [closed, opened, cooling, forced, reset]


@pytest.mark.parametrize("done", DONE)
async def test_the_statistics_are_the_same(
    registry: ServiceRegistry, done: Callable[[Any], None]
) -> None:
    found: list[dict[str, Any]] = []
    for breaker in (registry.breaker("llm", "a"), CircuitBreaker("a")):
        done(breaker)
        stats = breaker.get_stats()
        for name in ("failure_count", "success_count", "last_failure_time"):
            assert getattr(breaker, name) == stats[name]
        # Times are those of two clocks, and an in-process breaker has no actor.
        stats["last_failure_time"] = stats["last_failure_time"] is not None
        stats["retry_after"] = stats["retry_after"] and round(stats["retry_after"], -1)
        if stats["override"] is not None:
            assert abs(stats["override"].pop("until") - time.time() - 600) < 30
            stats["override"].pop("actor")
        found.append(stats)
    assert found[0] == found[1]
    await registry.flush()
