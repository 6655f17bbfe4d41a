"""The replica of one service type: its snapshot, how fresh that is, and what belongs beside it.

Owns the one way in, ``apply(change)``, and which of two states of a breaker is the newer one. Does
not talk to Redis, and does not wait.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.replica import change as changes
from ciris_registry.cache.replica.authoritative import AuthoritativeBreakers, admit_alike
from ciris_registry.cache.replica.own_probes import OwnProbes
from ciris_registry.cache.replica.server_clock import ServerClock
from ciris_registry.cache.replica.snapshot import Snapshot
from ciris_registry.cache.replica.streak_alerts import StreakAlerts
from ciris_registry.cache.replica.unknown_providers import UnknownProviders
from ciris_registry.store import NOTHING, parse_breaker

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from ciris_registry.circuit_breaker import BreakerState
    from ciris_registry.registration import Registration
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store import Version
    from ciris_registry.store.connection import RoundTrip

_OVERLAP: Final = 1000
"""Milliseconds before a load from which the stream is read; known entries change nothing."""

_ROOM: Final = 1000
"""Breakers without a registration that a replica keeps between two loads."""


class Replica:
    """This process's copy of one service type.

    ``shape`` counts the changes of what a resolve looks at. The snapshot may be relied on until
    ``fresh_until``, a monotonic time; ``heard_at`` is when it last matched Redis, ``used_at`` when
    a resolve used it; ``loaded``: whether it ever was. ``place`` is the id up to which the stream
    was read, empty if all has to be read anew. ``held`` are the names of breakers with a handle.

    By breaker, ``asked`` is the opening that a caller saw to be over, ``reported_trips`` until when
    Redis was informed that the breaker is open in this process alone.
    """

    def __init__(
        self,
        service_type: str,
        settings: RegistrySettings,
        held: Iterable[str],
        round_trip: RoundTrip,
        *,
        agreed: bool = True,
    ) -> None:
        self.service_type = service_type
        self.snapshot = Snapshot(service_type)
        self.shape, self.loaded = 0, False
        self.fresh_until = self.heard_at = self.used_at = 0.0
        self.place = ""
        self.clock = ServerClock()
        self.now = self.clock.now  # every outcome asks for it
        self.asked: dict[str, tuple[int, int]] = {}
        self.reported_trips: dict[str, int] = {}
        self.alerts = StreakAlerts()
        self.on_local_end: Callable[[str], None] = lambda _name: None
        self._default, self._max_staleness = settings.breaker, settings.max_staleness
        self._round_trip, self._held = round_trip, held
        self._authoritative = AuthoritativeBreakers()
        self._own_probes = OwnProbes(agreed=agreed)
        self._unknown_providers = UnknownProviders()
        self._room = _ROOM
        self._expired_version: Version = NOTHING
        self._clock_before: ServerClock | None = None

    # Changes

    def apply(self, change: changes.Change) -> bool:
        """Apply one change; False if it cannot be read, or its place in the order is unknown.

        A report that is older than what the replica has changes nothing. No state that is in a
        snapshot is ever modified: a change puts another one in its place.
        """
        match change:
            case changes.BreakerReport():
                return self._apply_report(change)
            case changes.ExpectedBreaker(name, breaker):
                self._put(name, breaker)
            case changes.FullState(read, at):
                self._replace_all(read, at)
            case changes.BreakerRead(name, fields, permits, callers):
                known = self.snapshot.breakers.get(name)
                if fields:
                    breaker, _ = parse_breaker(fields, permits, self._default, callers)
                    self._authoritative.take(name, known, breaker, self.now())
                    self._put_over(name, known, breaker)
            case changes.LocalEdit(snapshot):
                self.snapshot = snapshot
                self.shape += 1
            case changes.RegistrationReport(registration, fields, version):
                self._register(registration, fields)
                self.snapshot = replace(self.snapshot, version=version)
            case changes.RegistrationGone(registration_id, version):
                self.snapshot = replace(self.snapshot.without(registration_id), version=version)
                self.shape += 1
            case changes.BreakerForgotten(name, version):
                self._keep(self.snapshot.breakers.keys() - {name})
                self.snapshot = replace(self.snapshot, version=version or self.snapshot.version)
                self.shape += 1
        return True

    def _apply_report(self, change: changes.BreakerReport) -> bool:
        name, version = change.name, change.version
        known = self.snapshot.breakers.get(name)
        if known is None:
            return False
        breaker = self._authoritative.weigh(known, change, self.now())
        if breaker is None:
            return False
        if breaker is not known:
            self._put_over(name, known, breaker, version)
        elif version is not None:
            self.snapshot = replace(self.snapshot, version=version)
        return True

    def _register(self, registration: Registration, fields: Mapping[str, str]) -> None:
        name = registration.name
        self.snapshot = self.snapshot.with_registration(registration)
        self.shape += 1
        if name not in self.snapshot.breakers:
            breaker, _ = parse_breaker(fields, {}, self._default, {})
            self._authoritative.take(name, None, breaker, self.now())
            self._put(name, breaker)

    def _replace_all(self, read: Snapshot, at: int) -> None:
        known = self.snapshot.breakers
        self._authoritative.take_all(known, read.breakers, self.now())
        self._room = 2 * len(read.breakers) + _ROOM
        self.place = self.place or _place(at)
        self.asked = {name: of for name, of in self.asked.items() if name in read.breakers}
        self.snapshot = replace(
            read, breakers=self._own_probes.over(known, read.breakers, self.now())
        )
        self.shape += 1
        for name, before in known.items():
            after = read.breakers.get(name)
            if before.local is not None and (after is None or after.local is None):
                self.on_local_end(name)

    def _put_over(
        self,
        name: str,
        known: BreakerState | None,
        breaker: BreakerState,
        version: Version | None = None,
    ) -> None:
        if known is not None and not self._own_probes.agreed:
            breaker = self._own_probes.keep(name, known, breaker, self.now())
        self._put(name, breaker, version)
        if known is not None and known.local is not None and breaker.local is None:
            self.on_local_end(name)

    def _put(self, name: str, breaker: BreakerState, version: Version | None = None) -> None:
        snapshot = self.snapshot
        known = snapshot.breakers.get(name)
        if known is None and len(snapshot.breakers) >= self._room:
            self._make_room()
            snapshot = self.snapshot
        if known is None or not admit_alike(known, breaker):
            self.shape += 1
        self.snapshot = Snapshot(  # half the time of replace, and each process does it per opening
            snapshot.service_type,
            version or snapshot.version,
            snapshot.registrations,
            {**snapshot.breakers, name: breaker},
            snapshot.damaged,
        )

    def _make_room(self) -> None:
        """Drop the breakers that the next load would not read: programs make up names."""
        kept = {*self.snapshot.names(), *self.names_to_load()}
        self._keep(kept)
        self._room = 2 * len(kept) + _ROOM

    def _keep(self, kept: Container[str]) -> None:
        """Drop all other breakers."""
        breakers = self.snapshot.breakers
        self.snapshot = replace(
            self.snapshot, breakers={name: one for name, one in breakers.items() if name in kept}
        )
        self._authoritative.keep(kept)
        self.alerts.keep(kept)
        for known in (self.asked, self.reported_trips):
            for name in [name for name in known if name not in kept]:
                del known[name]

    # Freshness

    def confirm(self, at: float) -> None:
        """The stream had reported everything at this monotonic time."""
        if self.snapshot.version[1]:
            self.heard_at = max(self.heard_at, at)
            until = at + self._round_trip.seconds + self._max_staleness
            self.fresh_until = max(self.fresh_until, until)

    def synchronized(self, at: float, now: int, *, trusted: bool) -> None:
        """A refresh that began at this monotonic time has ended, at the server's ``now``.

        Unless the answer is ``trusted``, the next resolve asks again.
        """
        self.loaded = True
        self.place = self.place or _place(now)
        if trusted and self.snapshot.version[1]:
            self.heard_at = at
            self.fresh_until = at + self._round_trip.seconds + self._max_staleness

    def distrust(self) -> None:
        """The next resolve has to ask Redis."""
        self.fresh_until = 0.0

    def agree(self, *, agreed: bool) -> None:
        """Whether this process and Redis agree; if so, the shared state leads again."""
        if agreed and not self._own_probes.agreed:
            breakers = self.snapshot.breakers
            shared = self._own_probes.agree(breakers, self._authoritative.breakers)
            self.snapshot = replace(self.snapshot, breakers={**breakers, **shared})
            self.shape += 1
        self._own_probes.agreed = agreed

    def expire(self) -> None:
        """The next refresh reads everything: a write may have changed more than it reported."""
        self._expired_version = self.seen_version
        self.snapshot = replace(self.snapshot, version=(self.snapshot.version[0], ""))
        self.distrust()

    def lose(self) -> None:
        """Redis has lost the service type; its data begins a new life."""
        self.snapshot = replace(self.snapshot, version=NOTHING)
        self._expired_version = NOTHING
        self.place = ""  # the new server's clock may be behind

    def note_clock(self, now: int, asked: float) -> None:
        """Set the server's clock by a reply to a command sent at ``asked``, a monotonic time.

        If that clock was set, none of its earlier times says what is older than what, and the next
        refresh reads everything.
        """
        before = self.clock.copy()
        if self.clock.set(now, asked) and self.loaded:
            self._clock_before = self._clock_before or before
            self._authoritative.forget_times()
            self.place = ""  # the ids of the stream are times, too
            self.expire()

    def take_clock_before(self) -> ServerClock | None:
        """The clock by which this process knew its times, if it was set since the last call."""
        before, self._clock_before = self._clock_before, None
        return before

    # Questions

    @property
    def seen_version(self) -> Version:
        """The newest version of the data that this process has seen."""
        version = self.snapshot.version
        return version if version[1] else self._expired_version

    def breaker(self, name: str) -> BreakerState | None:
        """A breaker as this process knows it."""
        return self.snapshot.breakers.get(name)

    def authoritative(self, name: str) -> BreakerState | None:
        """A breaker as Redis last reported it, without what this process expects."""
        return self._authoritative.breakers.get(name)

    def authoritative_snapshot(self) -> Snapshot:
        """The snapshot without what this process expects, as it is now."""
        return replace(self.snapshot, breakers=dict(self._authoritative.breakers))

    def names_to_load(self) -> list[str]:
        """Breakers that matter to this process though they may have no registration."""
        return [*self.snapshot.not_closed(self.now()), *self._held]

    def alert(self, name: str) -> bool:
        """A streak of a breaker's failures is running; whether the breaker is known here."""
        if name not in self.snapshot.breakers:
            return False
        self.alerts.add(name)
        return True

    def warn_if_unknown(self, name: str) -> None:
        """Warn once if outcomes are recorded for a name that no provider has."""
        self._unknown_providers.warn(name, self.snapshot)


def _place(at: int) -> str:
    return f"{max(0, at - _OVERLAP)}-0"
