"""This process's copy of one service type: an immutable snapshot, and the one way to change it.

``Replica.apply`` decides what a change means. Talks to no server, and does not wait.
"""

from ciris_registry.cache.replica.authoritative import is_older, refuses_calls
from ciris_registry.cache.replica.change import (
    BreakerForgotten,
    BreakerRead,
    BreakerReport,
    ExpectedBreaker,
    FullState,
    LocalEdit,
    RegistrationGone,
    RegistrationReport,
)
from ciris_registry.cache.replica.replica import Replica
from ciris_registry.cache.replica.replicas import Replicas
from ciris_registry.cache.replica.snapshot import Snapshot

__all__ = [
    "BreakerForgotten",
    "BreakerRead",
    "BreakerReport",
    "ExpectedBreaker",
    "FullState",
    "LocalEdit",
    "RegistrationGone",
    "RegistrationReport",
    "Replica",
    "Replicas",
    "Snapshot",
    "is_older",
    "refuses_calls",
]
