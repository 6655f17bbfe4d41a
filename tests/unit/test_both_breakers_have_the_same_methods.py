"""``CircuitBreaker`` and the handle on a shared one: the same methods, told the same way."""

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


@pytest.mark.parametrize("name", METHODS)
def test_their_signatures_are_the_same(name: str) -> None:
    here, shared = (
        [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]
        for method in (getattr(CircuitBreaker, name), getattr(BreakerHandle, name))
    )
    assert here == shared


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
    breaker.reset("we know better")


DONE: list[Callable[[Any], None]] = [closed, opened, cooling, forced, reset]


@pytest.mark.parametrize("done", DONE)
async def test_their_stats_say_the_same(
    registry: ServiceRegistry, done: Callable[[Any], None]
) -> None:
    told: list[dict[str, Any]] = []
    for breaker in (registry.breaker("llm", "a"), CircuitBreaker("a")):
        done(breaker)
        stats = breaker.get_stats()
        # Each clock its own; and nobody else is there who might have said it.
        stats["last_failure_time"] = stats["last_failure_time"] is not None
        stats["retry_after"] = stats["retry_after"] and round(stats["retry_after"], -1)
        if stats["override"] is not None:
            assert abs(stats["override"].pop("until") - time.time() - 600) < 30
            stats["override"].pop("actor")
        told.append(stats)
    assert told[0] == told[1]
    await registry.flush()
