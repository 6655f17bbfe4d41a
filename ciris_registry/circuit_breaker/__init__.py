"""The rules of one circuit breaker, without I/O: state machine, window, settings, local streak.

It has the in-process system's names, for programs that import them from here. It does not write to
Redis and knows no registry.
"""

from ciris_registry.circuit_breaker.callers import Callers
from ciris_registry.circuit_breaker.circuit_breaker import CircuitBreaker
from ciris_registry.circuit_breaker.config import (
    CircuitBreakerConfig,
    length_of,
    length_or_ever,
    milliseconds,
)
from ciris_registry.circuit_breaker.local_streak import after_outcome, held
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.circuit_breaker.states import (
    UNTRACKED,
    Admission,
    CircuitState,
    Outcome,
    Refusal,
    ReplyCode,
)
from ciris_registry.circuit_breaker.stats import stats_of
from ciris_registry.circuit_breaker.window import BUCKETS, totals
from ciris_registry.errors import CircuitBreakerError

__all__ = [
    "BUCKETS",
    "UNTRACKED",
    "Admission",
    "BreakerState",
    "Callers",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerError",
    "CircuitState",
    "Outcome",
    "Refusal",
    "ReplyCode",
    "after_outcome",
    "held",
    "length_of",
    "length_or_ever",
    "milliseconds",
    "stats_of",
    "totals",
]
