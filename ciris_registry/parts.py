"""The parts of one registry that its views, its resolver and its tail share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciris_registry.cache import DesiredState
    from ciris_registry.selection import ConcurrencyLimit
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.shared_breaker import HeldPermits, OfflineOutcomes, SuccessBatches
    from ciris_registry.store import Session, WriteQueue
    from ciris_registry.store.connection import Connectivity


@dataclass(frozen=True, slots=True)
class Parts:
    """What they share, and how this registry goes about it.

    ``exact`` says whether resolves ask Redis each time, and outcomes are told one by one;
    ``always_use_last_provider`` whether the
    only provider of a service type is called though it cools down.
    """

    settings: RegistrySettings
    exact: bool
    always_use_last_provider: bool
    session: Session
    connectivity: Connectivity
    write_queue: WriteQueue
    desired: DesiredState
    permits: HeldPermits
    slots: ConcurrencyLimit
    successes: SuccessBatches
    offline: OfflineOutcomes
