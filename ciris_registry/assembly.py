"""Putting the parts of one registry together.

Owns their order, and who is told by whom. It refuses to know what any of them does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ciris_registry.backend import Backend
from ciris_registry.calls import Calls
from ciris_registry.classification import Classifier
from ciris_registry.ending import Ending
from ciris_registry.exchange import Exchange
from ciris_registry.guard import Guard
from ciris_registry.heartbeat import Heartbeat
from ciris_registry.link import Link
from ciris_registry.meanwhile import Meanwhile
from ciris_registry.membership import Membership
from ciris_registry.outbox import Outbox
from ciris_registry.parts import Parts
from ciris_registry.permits import HeldPermits
from ciris_registry.readiness import Readiness
from ciris_registry.registrar import Registrar
from ciris_registry.resolver import Resolver
from ciris_registry.session import Session
from ciris_registry.slots import Slots
from ciris_registry.successes import Successes
from ciris_registry.tail import Tail
from ciris_registry.views import Views

if TYPE_CHECKING:
    from ciris_registry.classification import Classify
    from ciris_registry.identity import Naming
    from ciris_registry.location import Location
    from ciris_registry.settings import RegistrySettings


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a registry calls; the rest runs by itself, from the session's start to its end."""

    parts: Parts
    views: Views
    registrar: Registrar
    exchange: Exchange
    readiness: Readiness
    resolver: Resolver
    calls: Calls


def assemble(
    location: Location,
    namespace: str,
    process: str,
    settings: RegistrySettings,
    naming: Naming,
    classify: Classify | None,
    *,
    exact: bool,
    keep_one: bool,
) -> Assembly:
    """All parts of a registry, which does nothing yet. What is given must have been checked."""
    parts = _parts(location, namespace, process, settings, exact=exact, keep_one=keep_one)
    session, views = parts.session, Views(parts)
    registrar = Registrar(naming, parts.outbox, parts.membership, views)
    bindings = registrar.bindings
    exchange = Exchange(parts, views, registrar.tidy)
    readiness = Readiness(parts, bindings, views, exchange)
    registrar.on_change = readiness.wake
    resolver = Resolver(parts, bindings, views)
    calls = Calls(resolver, Guard(Classifier(settings, classify), parts.slots, views.breaker_parts))
    heartbeat = Heartbeat(parts, views, registrar.tidy)
    session.on_start = Tail(parts, views, heartbeat).begin
    session.on_end = Ending(parts).finish
    return Assembly(parts, views, registrar, exchange, readiness, resolver, calls)


def _parts(
    location: Location,
    namespace: str,
    process: str,
    settings: RegistrySettings,
    *,
    exact: bool,
    keep_one: bool,
) -> Parts:
    link = Link(location.redacted, settings)
    session = Session(Backend(location), namespace, process, settings, link)
    outbox = Outbox(session, link)
    return Parts(
        settings=settings,
        exact=exact,
        keep_one=keep_one,
        session=session,
        link=link,
        outbox=outbox,
        membership=Membership(settings),
        permits=HeldPermits(process),
        slots=Slots(session, link, outbox, settings),
        successes=Successes(session, link, settings.report_every),
        meanwhile=Meanwhile(),
    )
