"""The local replica of the shared state, and what restores the state after Redis has lost data.

A replica is loaded once and updated by events; ``Replica.apply`` is the only way to change one.
Does not choose providers, and does not decide what an outcome means.
"""

from ciris_registry.cache.desired_state import DesiredState
from ciris_registry.cache.eviction import EvictionWarning
from ciris_registry.cache.expected_keys import expected_breakers, expected_registrations
from ciris_registry.cache.reconcile import Reconciler
from ciris_registry.cache.refresh_schedule import RefreshSchedule
from ciris_registry.cache.replica import (
    BreakerForgotten,
    BreakerRead,
    BreakerReport,
    ExpectedBreaker,
    LocalEdit,
    Replica,
    Replicas,
    Snapshot,
)
from ciris_registry.cache.restoration import is_decided, restore_breakers
from ciris_registry.cache.single_flight import SingleFlights
from ciris_registry.cache.subscription import PROCESSES, READ_INTERVAL, Subscription
from ciris_registry.cache.watcher import Watcher, block_of

__all__ = [
    "PROCESSES",
    "READ_INTERVAL",
    "BreakerForgotten",
    "BreakerRead",
    "BreakerReport",
    "DesiredState",
    "EvictionWarning",
    "ExpectedBreaker",
    "LocalEdit",
    "Reconciler",
    "RefreshSchedule",
    "Replica",
    "Replicas",
    "SingleFlights",
    "Snapshot",
    "Subscription",
    "Watcher",
    "block_of",
    "expected_breakers",
    "expected_registrations",
    "is_decided",
    "restore_breakers",
]
