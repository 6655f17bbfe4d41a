"""Putting the parts of one registry together.

Owns their order, and who is told by whom. It refuses to know what any of them does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ciris_registry.cache import DesiredState, Watcher
from ciris_registry.calls import AttemptContext, Executor
from ciris_registry.circuit_breaker.outcomes import Classifier
from ciris_registry.ending import Ending
from ciris_registry.lifecycle import Exchange
from ciris_registry.membership import Heartbeat, Readiness, Registrar
from ciris_registry.parts import Parts
from ciris_registry.selection import ConcurrencyLimit, Resolver
from ciris_registry.shared_breaker import HeldPermits, OfflineOutcomes, SuccessBatches
from ciris_registry.store import Session, WriteQueue
from ciris_registry.store.connection import Clients, Connectivity
from ciris_registry.views import Views

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.membership import Naming
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store.connection import StoreURL


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a registry calls; the rest runs by itself, from the session's start to its end."""

    parts: Parts
    views: Views
    registrar: Registrar
    exchange: Exchange
    readiness: Readiness
    resolver: Resolver
    calls: Executor


def assemble(
    url: StoreURL,
    namespace: str,
    process: str,
    settings: RegistrySettings,
    naming: Naming,
    classify: Classify | None,
    *,
    exact: bool,
    always_use_last_provider: bool,
) -> Assembly:
    """All parts of a registry, which does nothing yet. What is given must have been checked."""
    parts = _parts(
        url,
        namespace,
        process,
        settings,
        exact=exact,
        always_use_last_provider=always_use_last_provider,
    )
    session, views = parts.session, Views(parts)
    registrar = Registrar(naming, parts.write_queue, parts.desired, views)
    bindings = registrar.bindings
    exchange = Exchange(parts, views, registrar.tidy)
    readiness = Readiness(parts, bindings, views, exchange)
    registrar.on_change = readiness.wake
    resolver = Resolver(parts, bindings, views)
    calls = Executor(
        resolver, AttemptContext(Classifier(settings, classify), parts.slots, views.breaker_parts)
    )
    heartbeat = Heartbeat(parts, views, registrar.tidy)
    session.on_start = Watcher(parts, views, heartbeat).begin
    session.on_end = Ending(parts).finish
    return Assembly(parts, views, registrar, exchange, readiness, resolver, calls)


def _parts(
    url: StoreURL,
    namespace: str,
    process: str,
    settings: RegistrySettings,
    *,
    exact: bool,
    always_use_last_provider: bool,
) -> Parts:
    connectivity = Connectivity(url.redacted, settings)
    session = Session(Clients(url), namespace, process, settings, connectivity)
    write_queue = WriteQueue(session, connectivity)
    return Parts(
        settings=settings,
        exact=exact,
        always_use_last_provider=always_use_last_provider,
        session=session,
        connectivity=connectivity,
        write_queue=write_queue,
        desired=DesiredState(settings),
        permits=HeldPermits(process),
        slots=ConcurrencyLimit(session, connectivity, write_queue, settings),
        successes=SuccessBatches(session, connectivity, settings.success_report_interval),
        offline=OfflineOutcomes(),
    )
