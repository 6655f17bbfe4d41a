"""calls."""

from ciris_registry.calls.api import CallMethods
from ciris_registry.calls.attempt import AttemptContext
from ciris_registry.calls.executor import Executor

__all__ = [
    "AttemptContext",
    "CallMethods",
    "Executor",
]
