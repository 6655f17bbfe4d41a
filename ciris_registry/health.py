"""The health of a registry: whether Redis is there, how fresh the replicas are, what waits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.cache import Replicas
    from ciris_registry.shared_breaker import SuccessBatches
    from ciris_registry.store import Session, WriteQueue
    from ciris_registry.store.connection import Connectivity, ConnectivityState


@dataclass(frozen=True, slots=True)
class RegistryHealth:
    """What ``registry.health()`` returns.

    ``redis`` is ``connected``, ``suspended`` (a call waited too long, and Redis is being asked
    again) or ``lost``; ``since`` is a time of this machine in seconds of the epoch, ``error`` why.
    ``outages`` counts the times it was lost. ``heard`` is, for each service type, how many seconds
    ago the replica was last known to be true, None if it never was. ``pending_writes`` and
    ``pending_successes`` have not reached Redis yet; ``dropped_writes`` never will. ``failures``
    has the last error of each background task that had to be started again.
    """

    redis: ConnectivityState
    since: float
    error: str
    outages: int
    heard: Mapping[str, float | None]
    pending_writes: int
    pending_successes: int
    dropped_writes: int
    failures: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether this process and the fleet see the same."""
        return self.redis == "connected"


def health_of(
    session: Session,
    connectivity: Connectivity,
    write_queue: WriteQueue,
    batches: SuccessBatches,
    replicas: Replicas,
) -> RegistryHealth:
    """Read the health of a registry off its parts; nothing is asked or changed."""
    now = time.monotonic()
    return RegistryHealth(
        redis=connectivity.state,
        since=connectivity.since,
        error=connectivity.error,
        outages=connectivity.outages,
        heard={
            kind: now - replica.heard_at if replica.heard_at else None
            for kind, replica in replicas.by_type.items()
        },
        pending_writes=len(write_queue),
        pending_successes=batches.total,
        dropped_writes=write_queue.dropped,
        failures=dict(session.failures),
    )
