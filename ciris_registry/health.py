"""The health of a registry: the connection, the age of the replicas, the pending writes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ciris_registry.store.connection import ConnectivityState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ciris_registry.errors import RegistryError
    from ciris_registry.partitions import Partition


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
    - ``partitions``: ``redis`` for each partition that this process uses, by its number; ``redis``,
      ``since`` and ``error`` are those of the worst.
    - ``conflict``: empty, or which number of partitions another process has named.
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
    partitions: Mapping[int, ConnectivityState]
    conflict: str

    @property
    def ok(self) -> bool:
        """Whether Redis is connected, so that this process and the fleet see the same state."""
        return self.redis == "connected" and not self.conflict


_WORSE: Final = (
    ConnectivityState.CONNECTED,
    ConnectivityState.SUSPENDED,
    ConnectivityState.LOST,
)


def health_of(partitions: Sequence[Partition], conflict: RegistryError | None) -> RegistryHealth:
    """Read the health of a registry from its partitions, without I/O."""
    now = time.monotonic()
    worst = max((one.connectivity for one in partitions), key=lambda one: _WORSE.index(one.state))
    several = len(partitions) > 1
    return RegistryHealth(
        redis=worst.state,
        since=worst.since,
        error=worst.error,
        outages=sum(one.connectivity.outages for one in partitions),
        round_trip=max(one.connectivity.round_trip.seconds for one in partitions),
        heard={
            kind: now - replica.heard_at if replica.heard_at else None
            for one in partitions
            for kind, replica in list(one.replicas.by_type.items())
        },
        pending_writes=sum(len(one.write_queue) for one in partitions),
        pending_successes=sum(one.batches.total for one in partitions),
        dropped_writes=sum(one.write_queue.dropped for one in partitions),
        rejected_writes={
            what: problem
            for one in partitions
            for what, problem in list(one.write_queue.rejected.by_name.items())
        },
        failures={
            f"{task} of partition {one.index}" if several else task: failure
            for one in partitions
            for task, failure in list(one.session.failures.items())
        },
        partitions={one.index: one.connectivity.state for one in partitions},
        conflict=str(conflict) if conflict is not None else "",
    )
