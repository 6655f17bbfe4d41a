"""The health of a registry: the connection, the age of the replicas, the pending writes."""

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

    - ``redis``: ``connected``, ``suspended`` (a call timed out, and the registry pings Redis; or
      Redis is back, and the state is being reconciled) or ``lost``.
    - ``since``: when that began, in seconds of the epoch by this machine's clock.
    - ``error``: why Redis is not connected, or which command it has refused and not carried out
      since.
    - ``outages``: how many times the connection was lost.
    - ``round_trip``: the seconds that Redis takes to answer, the median of the last replies; 0 if
      none was measured.
    - ``heard``: for each service type, the seconds since its replica last matched Redis; None if it
      never did.
    - ``pending_writes``, ``pending_successes``: not yet in Redis.
    - ``dropped_writes``: discarded, and never in Redis.
    - ``rejected_writes``: the error of each write that Redis went on refusing while it took others;
      never in Redis. The newest hundred, by what was to be written.
    - ``failures``: the last error of each background task that was restarted.
    """

    redis: ConnectivityState
    since: float
    error: str
    outages: int
    round_trip: float
    heard: Mapping[str, float | None]
    pending_writes: int
    pending_successes: int
    dropped_writes: int
    rejected_writes: Mapping[str, str]
    failures: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether Redis is connected, so that this process and the fleet see the same state."""
        return self.redis == "connected"


def health_of(
    session: Session,
    connectivity: Connectivity,
    write_queue: WriteQueue,
    batches: SuccessBatches,
    replicas: Replicas,
) -> RegistryHealth:
    """Read the health of a registry from its parts, without I/O."""
    now = time.monotonic()
    return RegistryHealth(
        redis=connectivity.state,
        since=connectivity.since,
        error=connectivity.error,
        outages=connectivity.outages,
        round_trip=connectivity.round_trip.seconds,
        heard={
            kind: now - replica.heard_at if replica.heard_at else None
            for kind, replica in list(replicas.by_type.items())
        },
        pending_writes=len(write_queue),
        pending_successes=batches.total,
        dropped_writes=write_queue.dropped,
        rejected_writes=dict(write_queue.rejected.by_name),
        failures=dict(session.failures),
    )
