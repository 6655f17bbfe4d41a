"""The shared state in Redis: keys, scripts, typed methods for each subject, and the write queue.

The scripts hold the rules. Callers decide what to write.
"""

from ciris_registry.store.keys import TypeKeys
from ciris_registry.store.partitioning import Partitioning
from ciris_registry.store.records import (
    COUNTERS,
    NOTHING,
    BatchedSuccesses,
    Beat,
    BreakerReply,
    Event,
    EventReader,
    Loaded,
    OfflineMerge,
    Registered,
    SlotReply,
    Synced,
    Version,
    WantedRegistration,
    host_name,
    new_process_id,
    paired,
    parse_breaker,
    remembered,
    update_breaker,
    with_counters,
)
from ciris_registry.store.script_runner import PackedCall
from ciris_registry.store.scripts import load_scripts
from ciris_registry.store.session import Session
from ciris_registry.store.store import Store
from ciris_registry.store.stores import Stores
from ciris_registry.store.write_queue import WriteQueue, flush_all

__all__ = [
    "COUNTERS",
    "NOTHING",
    "BatchedSuccesses",
    "Beat",
    "BreakerReply",
    "Event",
    "EventReader",
    "Loaded",
    "OfflineMerge",
    "PackedCall",
    "Partitioning",
    "Registered",
    "Session",
    "SlotReply",
    "Store",
    "Stores",
    "Synced",
    "TypeKeys",
    "Version",
    "WantedRegistration",
    "WriteQueue",
    "flush_all",
    "host_name",
    "load_scripts",
    "new_process_id",
    "paired",
    "parse_breaker",
    "remembered",
    "update_breaker",
    "with_counters",
]
