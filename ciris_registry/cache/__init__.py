"""cache."""

from ciris_registry.cache.desired_state import DesiredState
from ciris_registry.cache.replica import Replica
from ciris_registry.cache.single_flight import SingleFlight
from ciris_registry.cache.snapshot import Snapshot
from ciris_registry.cache.subscription import BLOCK, EventFeed
from ciris_registry.cache.watcher import Watcher

__all__ = [
    "BLOCK",
    "DesiredState",
    "EventFeed",
    "Replica",
    "SingleFlight",
    "Snapshot",
    "Watcher",
]
