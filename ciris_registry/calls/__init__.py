"""Running guarded calls: attempt, time limit, failover, retry, stream, proxy.

It asks ``selection`` for picks and reports outcomes. It chooses no providers itself.
"""

from ciris_registry.calls.api import CallMethods
from ciris_registry.calls.attempt_context import AttemptContext
from ciris_registry.calls.executor import Executor

__all__ = [
    "AttemptContext",
    "CallMethods",
    "Executor",
]
