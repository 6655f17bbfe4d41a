"""One partition, as a registry uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciris_registry.cache import Replicas, SingleFlights
    from ciris_registry.calls import Executor
    from ciris_registry.lifecycle import Lifecycle
    from ciris_registry.membership import Readiness, Registrar
    from ciris_registry.selection import (
        ConcurrencyLimit,
        Explainer,
        Pickers,
        Resolver,
        RoundRobins,
    )
    from ciris_registry.shared_breaker import Breakers, HeldPermits, SuccessBatches
    from ciris_registry.store import Session, WriteQueue
    from ciris_registry.store.connection import Connectivity


@dataclass(slots=True, eq=False)
class Partition:
    """The parts by which a registry uses one partition. Others run in its background tasks."""

    index: int
    session: Session
    connectivity: Connectivity
    write_queue: WriteQueue
    batches: SuccessBatches
    permits: HeldPermits
    replicas: Replicas
    single_flights: SingleFlights
    breakers: Breakers
    concurrency_limit: ConcurrencyLimit
    round_robins: RoundRobins
    registrar: Registrar
    lifecycle: Lifecycle
    readiness: Readiness
    pickers: Pickers
    resolver: Resolver
    explainer: Explainer
    executor: Executor
