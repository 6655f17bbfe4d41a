"""A call through interlock, another circuit breaker for Python, if it is installed.

Its breaker keeps its state in this process and opens when the last 5 calls have all failed, which
is nearest to a failure threshold of 5.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.bench.measurements.comparison import Timings
    from ciris_registry.bench.report import Measurement

_TARGET: Final = 0.75
_WINDOW: Final = 5
_FAILURE_RATE: Final = 1.0


class InterlockCall(NamedTuple):
    """A function with a breaker of interlock around it."""

    version: str
    call: Callable[..., Awaitable[Any]]


def interlock_call(function: Callable[..., Awaitable[Any]]) -> InterlockCall | None:
    """The function, decorated with a breaker; None if interlock is not installed."""
    try:
        interlock: Any = importlib.import_module("interlock")
    except ImportError:
        return None
    config = interlock.Config(
        window_size=_WINDOW,
        minimum_number_of_calls=_WINDOW,
        failure_rate_threshold=_FAILURE_RATE,
    )
    breaker = interlock.CircuitBreaker(name="bench", config=config)
    return InterlockCall(version("interlock-cb"), breaker(function))


def beside_interlock(timings: Timings, interlock: InterlockCall | None) -> Measurement:
    """``call`` beside ``interlock``; without interlock there is no target."""
    name, what = "cached_call", "cached registry.call and the call itself"
    if interlock is None:
        note = "not compared; pip install interlock-cb"
        return timings.microseconds("call", name=name, what=what, note=note)
    against = f"interlock {interlock.version}"
    return timings.compared(
        "call", "interlock", name=name, what=what, against=against, target=_TARGET
    )
