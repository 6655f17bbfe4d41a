"""calls."""

from ciris_registry.calls.api import GuardedCalls
from ciris_registry.calls.attempt import Guard
from ciris_registry.calls.executor import Calls

__all__ = [
    "Calls",
    "Guard",
    "GuardedCalls",
]
