"""The shared state in Redis: keys, scripts, typed methods for each subject, and the write queue.

The scripts hold the rules. Callers decide what to write.
"""

from ciris_registry.store.keys import TypeKeys
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
from ciris_registry.store.write_queue import WriteQueue

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
    "Registered",
    "Session",
    "SlotReply",
    "Store",
    "Synced",
    "TypeKeys",
    "Version",
    "WantedRegistration",
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
