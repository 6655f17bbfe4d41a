"""The shared state in Redis: keys, scripts, typed methods for each subject, and the write queue.

The scripts hold the rules. Callers decide what to write.
"""

from ciris_registry.store.decoding import (
    COUNTERS,
    paired,
    parse_breaker,
    remembered,
    update_breaker,
    with_counters,
)
from ciris_registry.store.event import Event
from ciris_registry.store.events import EventReader
from ciris_registry.store.keys import TypeKeys
from ciris_registry.store.processes import host_name, new_process_id
from ciris_registry.store.replies import (
    NOTHING,
    BatchedSuccesses,
    BreakerReply,
    Loaded,
    OfflineMerge,
    SlotReply,
    Synced,
    Version,
)
from ciris_registry.store.scripts import load_scripts
from ciris_registry.store.session import Session
from ciris_registry.store.store import Store
from ciris_registry.store.write_queue import WriteQueue

__all__ = [
    "COUNTERS",
    "NOTHING",
    "BatchedSuccesses",
    "BreakerReply",
    "Event",
    "EventReader",
    "Loaded",
    "OfflineMerge",
    "Session",
    "SlotReply",
    "Store",
    "Synced",
    "TypeKeys",
    "Version",
    "WriteQueue",
    "host_name",
    "load_scripts",
    "new_process_id",
    "paired",
    "parse_breaker",
    "remembered",
    "update_breaker",
    "with_counters",
]
