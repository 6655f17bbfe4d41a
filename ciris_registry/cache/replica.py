"""The snapshot of one service type, how fresh it is, and what this process remembers beside it.

What Redis tells is handed in, whole by a load, or a breaker at a time by events and the answers of
scripts; what this process foresees is put over that. It refuses to talk to Redis, and to wait.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.authoritative import AuthoritativeBreakers
from ciris_registry.cache.server_clock import ServerClock
from ciris_registry.cache.snapshot import Snapshot, admit_alike
from ciris_registry.cache.unknown_providers import UnknownProviders
from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.store import NOTHING, parse_breaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ciris_registry.circuit_breaker import BreakerState
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store import BreakerReply, Version

_OVERLAP: Final = 1000
"""Milliseconds before a load from which on the stream is read; what is known already is ignored."""

_ROOM: Final = 1000
"""Breakers of no registration that are remembered between two loads."""

_ALERT: Final = 2.0
"""Seconds for which successes are told at once after somebody has seen a streak of failures; the
next hint comes, if it goes on, within one."""


class Replica:
    """This process's copy of one service type.

    ``shape`` counts the changes of what a resolve looks at. Until ``fresh_until``, a monotonic
    time, anybody may rely on it; ``heard_at`` is when it was true last, and ``loaded`` whether it
    ever was. ``place`` is the id up to which its stream was read, empty if it has to be read anew
    first. ``held`` are the names of breakers on which somebody here has a handle.

    By breaker, ``asked`` is the opening that somebody was told to be over, ``told`` until when the
    fleet was told that it is open here, and ``alerts`` until when a streak counts as running.
    """

    def __init__(self, service_type: str, settings: RegistrySettings, held: Iterable[str]) -> None:
        self.service_type = service_type
        self.snapshot = Snapshot(service_type)
        self.shape = 0
        self.loaded = False
        self.fresh_until = self.heard_at = 0.0
        self.place = ""
        self.clock = ServerClock()
        self.now = self.clock.now  # every outcome asks for it
        self.asked: dict[str, tuple[int, int]] = {}
        self.told: dict[str, int] = {}
        self.alerts: dict[str, float] = {}
        self.on_ended: Callable[[str], None] = lambda _name: None
        self._default = settings.breaker
        self._max_staleness = settings.max_staleness
        self._held = held
        self._authoritative = AuthoritativeBreakers()
        self._unknown_providers = UnknownProviders()
        self._room = _ROOM

    # How fresh it is

    def confirm(self, at: float) -> None:
        """The stream has told everything that there was to tell at this monotonic time."""
        if self.snapshot.version[1]:
            self.heard_at = max(self.heard_at, at)
            self.fresh_until = max(self.fresh_until, at + self._max_staleness)

    def agree(self, at: float, now: int, *, trusted: bool) -> None:
        """A sync that began at this monotonic time has made it true, at the server's ``now``.

        Unless that is ``trusted``, nobody may rely on it without asking.
        """
        self.loaded = True
        self.place = self.place or _place(now)
        if trusted and self.snapshot.version[1]:
            self.heard_at = at
            self.fresh_until = at + self._max_staleness

    def doubt(self) -> None:
        """Whoever relies on this copy next has to ask."""
        self.fresh_until = 0.0

    def expire(self) -> None:
        """Have the next sync read everything: a write may mean more than its writer knew."""
        self.snapshot = replace(self.snapshot, version=(self.snapshot.version[0], ""))
        self.doubt()

    def lose(self) -> None:
        """Redis has lost what this is a copy of, and begins again."""
        self.snapshot = replace(self.snapshot, version=NOTHING)
        self.place = ""  # the new server's clock may be behind

    def note_clock(self, now: int) -> bool:
        """The server says what time it is; whether its clock has stepped back.

        Then no time that it told before says what is older than what.
        """
        stepped = self.clock.set(now) and self.loaded
        if stepped:
            self._authoritative.forget_times()
            self.expire()
        return stepped

    # What it is a copy of

    def change(self, snapshot: Snapshot) -> None:
        """Put what this process has just done over what it knew."""
        self.snapshot = snapshot
        self.shape += 1

    def replace_all(self, read: Snapshot, at: int) -> None:
        """Take over everything as Redis had it at its time ``at``."""
        known = self.snapshot.breakers
        self._authoritative.take_all(known, read.breakers, self.now())
        self._room = 2 * len(read.breakers) + _ROOM
        self.place = self.place or _place(at)
        self.asked = {name: of for name, of in self.asked.items() if name in read.breakers}
        self.change(read)
        for name, before in known.items():
            after = read.breakers.get(name)
            if before.own is not None and (after is None or after.own is None):
                self.on_ended(name)

    def as_told(self) -> Snapshot:
        """The snapshot without what this process foresees."""
        return replace(self.snapshot, breakers=self._authoritative.breakers)

    # Its breakers

    def breaker(self, name: str) -> BreakerState | None:
        """A breaker as far as it is known here."""
        return self.snapshot.breakers.get(name)

    def authoritative(self, name: str) -> BreakerState | None:
        """A breaker as Redis last told it, without what this process foresees."""
        return self._authoritative.breakers.get(name)

    def put(self, name: str, breaker: BreakerState, version: Version | None = None) -> None:
        """Put a breaker in the place of its predecessor; that makes ``version``, if it is told.

        From then on nobody changes it: whoever foresees something does so on a copy.
        """
        known = self.snapshot.breakers.get(name)
        if known is None and len(self.snapshot.breakers) >= self._room:
            self._tidy()
        if known is None or not admit_alike(known, breaker):
            self.shape += 1
        self.snapshot = self.snapshot.with_breaker(name, breaker, version)

    def learn(self, name: str, reply: BreakerReply, permit: tuple[str, int] | None = None) -> None:
        """Take over what a breaker script has answered."""
        if reply.verdict is not ReplyCode.MISSING and name in self.snapshot.breakers:
            self.note_clock(reply.now)
            self.take_over(name, reply.now, reply.fields, permit)

    def take_over(
        self,
        name: str,
        at: int,
        fields: Mapping[str, str],
        permit: tuple[str, int] | None = None,
        version: Version | None = None,
    ) -> bool:
        """Take over what was told of one breaker, as it was at the server's time ``at``.

        False if it cannot be read, or nobody can tell what it means. What is older than what is
        known changes nothing.
        """
        known = self.snapshot.breakers.get(name)
        if known is None:
            return False
        breaker = self._authoritative.weigh(name, known, at, fields, self.now(), permit)
        if breaker is None:
            return False
        if breaker is not known:
            self._put_over(name, known, breaker, version)
        elif version is not None:
            self.snapshot = replace(self.snapshot, version=version)
        return True

    def reread(
        self,
        name: str,
        fields: Mapping[str, str],
        permits: Mapping[str, int],
        callers: Mapping[str, int],
    ) -> None:
        """Take over one breaker as its keys were read, counters too."""
        if fields:
            known = self.snapshot.breakers.get(name)
            breaker, _ = parse_breaker(fields, permits, self._default, callers)
            self._authoritative.take(name, known, breaker, self.now())
            self._put_over(name, known, breaker)

    def alert(self, name: str) -> bool:
        """A streak of a breaker's failures runs somewhere; whether the breaker is known here."""
        if name not in self.snapshot.breakers:
            return False
        self.alerts[name] = time.monotonic() + _ALERT
        return True

    def alerted(self, name: str) -> bool:
        """Whether a streak of a breaker's failures runs somewhere, as was told a moment ago."""
        until = self.alerts.get(name, 0.0)
        if until and time.monotonic() > until:
            del self.alerts[name]
        return name in self.alerts

    def warn_if_unknown(self, name: str) -> None:
        """An outcome is recorded for this name: say so, once, if no provider has it."""
        self._unknown_providers.warn_if_unknown(name, self.snapshot)

    def watched(self) -> list[str]:
        """Breakers that matter here though they may have no registration."""
        return [*self.snapshot.standing(self.now()), *self._held]

    def _put_over(
        self,
        name: str,
        known: BreakerState | None,
        breaker: BreakerState,
        version: Version | None = None,
    ) -> None:
        self.put(name, breaker, version)
        if known is not None and known.own is not None and breaker.own is None:
            self.on_ended(name)

    def _tidy(self) -> None:
        """Forget the breakers that the next load would not read: programs make up names."""
        kept = {*self.snapshot.names(), *self.watched()}
        breakers = self.snapshot.breakers
        self.snapshot = replace(
            self.snapshot, breakers={name: one for name, one in breakers.items() if name in kept}
        )
        self._authoritative.keep(kept)
        for known in (self.asked, self.alerts, self.told):
            for name in [name for name in known if name not in kept]:
                del known[name]
        self._room = 2 * len(kept) + _ROOM


def _place(at: int) -> str:
    return f"{max(0, at - _OVERLAP)}-0"
