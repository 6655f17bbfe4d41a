"""How a registry is doing: a reading, which changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.parts import Parts
    from ciris_registry.store.connection import ConnectivityState
    from ciris_registry.views import Views


@dataclass(frozen=True, slots=True)
class RegistryHealth:
    """What ``registry.health()`` tells.

    ``redis`` is ``up``, ``in doubt`` (somebody waited too long; it is being asked again) or
    ``down``, ``since`` a time of this machine in seconds of the epoch, ``error`` why.
    ``outages`` counts those that were confirmed. ``heard`` says for each service type how many
    seconds ago Redis last told everything about it, None if it never has. ``pending_writes`` and
    ``pending_successes`` have not reached Redis yet; ``dropped_writes`` never will.
    ``failures`` has the last error of each background task that had to be started again.
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


def health_of(parts: Parts, views: Views) -> RegistryHealth:
    """Read it off the parts of a registry."""
    now = time.monotonic()
    connectivity, write_queue = parts.connectivity, parts.write_queue
    return RegistryHealth(
        redis=connectivity.state,
        since=connectivity.since,
        error=connectivity.error,
        outages=connectivity.outages,
        heard={
            kind: now - replica.heard_at if replica.heard_at else None
            for kind, replica in views.replicas.items()
        },
        pending_writes=len(write_queue),
        pending_successes=parts.successes.total,
        dropped_writes=write_queue.dropped,
        failures=dict(parts.session.failures),
    )
