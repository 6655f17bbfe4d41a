"""The records in Redis by subject: one typed method for each script, and what it replies.

Sends through the script runner. When something is written, and what follows from it, is decided
elsewhere.
"""

from ciris_registry.store.records.breakers import BreakerStore
from ciris_registry.store.records.decoding import (
    COUNTERS,
    paired,
    parse_breaker,
    remembered,
    update_breaker,
    with_counters,
)
from ciris_registry.store.records.event import Event
from ciris_registry.store.records.events import EventReader, EventStore
from ciris_registry.store.records.identity import host_name, new_process_id
from ciris_registry.store.records.processes import ProcessStore
from ciris_registry.store.records.registrations import RegistrationStore, WantedRegistration
from ciris_registry.store.records.replies import (
    NOTHING,
    BatchedSuccesses,
    Beat,
    BreakerReply,
    Loaded,
    OfflineMerge,
    Registered,
    SlotReply,
    Synced,
    Version,
)
from ciris_registry.store.records.slots import SlotStore
from ciris_registry.store.records.snapshots import SnapshotStore

__all__ = [
    "COUNTERS",
    "NOTHING",
    "BatchedSuccesses",
    "Beat",
    "BreakerReply",
    "BreakerStore",
    "Event",
    "EventReader",
    "EventStore",
    "Loaded",
    "OfflineMerge",
    "ProcessStore",
    "Registered",
    "RegistrationStore",
    "SlotReply",
    "SlotStore",
    "SnapshotStore",
    "Synced",
    "Version",
    "WantedRegistration",
    "host_name",
    "new_process_id",
    "paired",
    "parse_breaker",
    "remembered",
    "update_breaker",
    "with_counters",
]
