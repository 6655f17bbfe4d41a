"""When a closed breaker opens: by a streak of failures, or by the rate of failures in the window.

Pure functions of the counters and the failing processes, as in ``lua/lib/trip_conditions.lua`` and
``lua/lib/callers.lua``. A streak alone misses a provider that fails half of the time. A rate alone
admits thousands of calls to a dead provider. So there are both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker.config import milliseconds
from ciris_registry.circuit_breaker.window import beginning

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.callers import Callers
    from ciris_registry.circuit_breaker.config import CircuitBreakerConfig


def streak_trips(
    config: CircuitBreakerConfig, callers: Callers, failures: int, started_at: int
) -> bool:
    """Whether a streak of ``failures`` that began at ``started_at`` opens the breaker."""
    if failures < config.failure_threshold:
        return False
    least = config.min_failing_processes
    return least <= 1 or callers.failing(started_at) >= least


def rate_trips(
    config: CircuitBreakerConfig, callers: Callers, now: int, calls: int, failures: int
) -> bool:
    """Whether the share of failures among the calls of the window opens the breaker.

    If two or more processes are calling, at least two of them must have failed.
    """
    rate = config.failure_rate_threshold
    if rate is None or not failures or calls < config.minimum_calls or failures / calls < rate:
        return False
    since = beginning(now, milliseconds(config.window))
    least = max(config.min_failing_processes, 2 if callers.calling(since) > 1 else 1)
    return least <= 1 or callers.failing(since) >= least
