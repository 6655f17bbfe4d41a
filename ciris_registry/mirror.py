"""The snapshot of one service type, how fresh it is, and who may rely on it.

A sync is one script call that compares versions. Resolves that wait at the same time share the
next call to start, since a resolve may rely on any call that began after it asked. Between syncs
the events of the stream keep the snapshot true: each says which version it made, so that a gap
shows. It refuses to write: what has to be put back after Redis lost it is the membership's work.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import weakref
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from ciris_registry.breaker_rules import BreakerState
from ciris_registry.breaker_words import CircuitState, Verdict
from ciris_registry.errors import RegistryError, StoreUnavailableError
from ciris_registry.readback import COUNTERS, paired, parse_breaker, update_breaker
from ciris_registry.records import name_of
from ciris_registry.replies import NOTHING
from ciris_registry.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ciris_registry.events import Event
    from ciris_registry.handle import BreakerHandle
    from ciris_registry.parts import Parts
    from ciris_registry.records import Registration
    from ciris_registry.replies import BreakerReply, Version
    from ciris_registry.store import Store

_log = logging.getLogger(__name__)

_FIRST_LOOK: Final = 2.0
"""Seconds that the first look at a service type may take: nothing is known of it."""

_SHORTEST_LOOK: Final = 0.05
"""Seconds that it may take once a doubt has ended, however long that lasted."""

_OVERLAP: Final = 1000
"""Milliseconds before a load from which on the stream is read; what is known already is ignored."""

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
"""Seconds between two attempts to read what keeps changing."""

_MOST_UNHEARD: Final = 20
"""Names of no provider that are warned about; programs make up names."""

_STEP: Final = 1000
"""Milliseconds by which a server's clock has stepped, and not merely answered late."""

_ROOM: Final = 1000
"""Breakers of no registration that are remembered between two loads."""

_ALERT: Final = 2.0
"""Seconds for which successes are told at once after somebody has seen a streak of failures; the
next hint comes, if it goes on, within one."""


_STATE: Final = frozenset({"state", *COUNTERS})
"""What an event must tell of a breaker."""


class _Batch:
    """Resolves that share one call, and the cursor steps that they take in it."""

    __slots__ = ("_waiting", "error", "limit", "now", "positions", "snapshot", "steps")

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.limit: float | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self.error: RegistryError | None = None
        self.snapshot: Snapshot | None = None
        self.now = 0
        self.positions: dict[str, int] = {}

    def wait(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """For the end of the call that somebody else makes."""
        waiting = loop.create_future()
        self._waiting.append(waiting)
        return waiting

    def finish(self) -> None:
        """Let everybody go on."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def join(self, cursor: str, limit: float | None) -> int:
        """Take part; the place among those who move the same cursor.

        Who must not wait for longer than ``limit`` makes all who take part give up by then.
        """
        if limit is not None and (self.limit is None or limit < self.limit):
            self.limit = limit
        if not cursor:
            return 0
        place = self.steps.get(cursor, 0)
        self.steps[cursor] = place + 1
        return place


class Mirror:
    """This process's copy of one service type, kept true on demand."""

    def __init__(self, parts: Parts, service_type: str) -> None:
        self.service_type = service_type
        self.snapshot = Snapshot(service_type)
        self.shape = 0
        self.fresh_until = self.heard_at = 0.0
        self.place = ""
        self.handles: weakref.WeakValueDictionary[str, BreakerHandle] = (
            weakref.WeakValueDictionary()
        )
        self.asked: dict[str, tuple[int, int]] = {}
        self.told: dict[str, int] = {}
        self.on_ended: Callable[[str], None] = lambda _name: None
        self.alerts: dict[str, float] = {}
        self._session = parts.session
        self._link = parts.link
        self._membership = parts.membership
        self._successes = parts.successes
        self._default = parts.settings.breaker
        self._max_staleness = parts.settings.max_staleness
        self._loaded = False
        self._ahead = int(time.time() * 1000) - _monotonic()
        self._confirmed: dict[str, BreakerState] = {}
        self._answered: dict[str, int] = {}
        self._room = _ROOM
        self._unheard: set[str] = set()
        self._forming: _Batch | None = None
        self._running: _Batch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> int:
        """The server's time in milliseconds, as far as this process can tell without asking."""
        return _monotonic() + self._ahead

    def monotonic_at(self, at: int) -> float:
        """This process's monotonic clock, in seconds, at a server's time."""
        return (at - self._ahead) / 1000

    async def promptly(self, store: Store, cursor: str = "") -> tuple[Snapshot, int, int]:
        """As ``sync``, but it waits no longer than a resolve may.

        Who knows nothing yet waits for the end of a doubt: he would let everybody through.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        end = time.monotonic() + _FIRST_LOOK
        while not self._loaded:
            try:
                self._link.check()
                return await self.sync(store, cursor, max(_SHORTEST_LOOK, end - time.monotonic()))
            except StoreUnavailableError:
                if not await self._link.settled(end - time.monotonic()):
                    raise
        self._link.check()
        return await self.sync(store, cursor, self._link.timeout)

    def confirm(self, at: float) -> None:
        """The stream has told everything that there was to tell at this monotonic time."""
        if self.snapshot.version[1]:
            self.heard_at = max(self.heard_at, at)
            self.fresh_until = max(self.fresh_until, at + self._max_staleness)

    def doubt(self) -> None:
        """Whoever relies on this copy next has to ask."""
        self.fresh_until = 0.0

    def follow(self, events: Iterable[Event]) -> bool:
        """Take over what the stream tells; False if there is more to it, and a sync must tell."""
        told = True
        for event in events:
            self.place = event.id
            told = self._follows(event) and told
        return told

    def alerted(self, name: str) -> bool:
        """Whether a streak of a breaker's failures runs somewhere, as was told a moment ago."""
        until = self.alerts.get(name, 0.0)
        if until and time.monotonic() > until:
            del self.alerts[name]
        return name in self.alerts

    async def sync(
        self, store: Store, cursor: str = "", limit: float | None = None
    ) -> tuple[Snapshot, int, int]:
        """The snapshot as it is now, the server's time, and the position taken of ``cursor``.

        Raises:
            StoreUnavailableError: Redis is away.
            DamagedStateError: Somebody wrote another type under one of its keys.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._forming, self._running = loop, None, None
        while True:
            batch = self._forming
            if batch is None:
                batch = self._forming = _Batch()
            place = batch.join(cursor, limit)
            if self._running is None:
                await self._run(store, batch)
            elif limit is None or self._running.limit is not None:
                await batch.wait(loop)
            else:  # what runs now may take its time
                await self._link.attentively(batch.wait(loop))
            if batch.error is not None:
                raise batch.error
            if batch.snapshot is not None:
                return batch.snapshot, batch.now, batch.positions.get(cursor, 0) + place
            self._session.check_open()
            # Whoever asked for all of us was cancelled: ask again.

    async def reload(self, store: Store) -> Snapshot:
        """Read everything again, counters too, whether the version has changed or not."""
        # The same epoch: what tells a new life of the data from the old one must not be lost.
        self.expire()
        snapshot, _, _ = await self.sync(store)
        return snapshot

    async def read_breaker(self, store: Store, name: str) -> None:
        """Take over one breaker as it is now, counters too."""
        fields, permits, reporters = await store.breakers.read(self.service_type, name)
        if fields:
            breaker, _ = parse_breaker(fields, permits, self._default, reporters)
            known = self.snapshot.breakers.get(name)
            ended = known is not None and self._carry(known, name, breaker)
            self._confirmed[name] = breaker
            self.put(name, breaker)
            if ended:
                self.on_ended(name)

    def expire(self) -> None:
        """Have the next sync read everything: a write may mean more than its writer knew."""
        self.snapshot = replace(self.snapshot, version=(self.snapshot.version[0], ""))
        self.doubt()

    def change(self, snapshot: Snapshot) -> None:
        """Put what this process has just done over what it knew."""
        self.snapshot = snapshot
        self.shape += 1

    def put(self, name: str, breaker: BreakerState, version: Version | None = None) -> None:
        """Put a breaker in the place of its predecessor; that makes ``version``, if it is told."""
        known = self.snapshot.breakers.get(name)
        if known is None and len(self.snapshot.breakers) >= self._room:
            self._tidy()
        if known is None or _admission(known) != _admission(breaker):
            self.shape += 1
        self.snapshot = self.snapshot.with_breaker(name, breaker, version)

    def forget(self, registration: Registration) -> None:
        """This process has left a registration; it goes from here, unless others are members."""
        members = self.snapshot.members.get(registration.id, {})
        if not set(members) - {self._session.process}:
            self.change(self.snapshot.without(registration.id))

    def breaker(self, name: str) -> BreakerState | None:
        """A breaker as far as it is known here."""
        return self.snapshot.breakers.get(name)

    def learn(self, name: str, reply: BreakerReply, permit: tuple[str, int] | None = None) -> None:
        """Take over what a breaker script has answered."""
        known = self.snapshot.breakers.get(name)
        if reply.verdict is Verdict.MISSING or known is None:
            return
        self._note_clock(reply.now)
        self._take_over(known, name, reply.now, reply.fields, permit)

    def wonder(self, name: str) -> None:
        """An outcome is recorded for this name: say so, once, if no provider has it."""
        names = self.snapshot.names()
        if (
            not names
            or not self.snapshot.version[0]  # never loaded
            or name in names
            or name in self._unheard
            or len(self._unheard) >= _MOST_UNHEARD
        ):
            return
        self._unheard.add(name)
        meant = get_close_matches(name, names, 1)
        _log.warning(
            "an outcome is recorded for %s of %s, which nobody has registered%s",
            name,
            self.service_type,
            f"; is it {meant[0]}?" if meant else "",
            extra={"service_type": self.service_type, "provider": name},
        )

    def confirmed(self, name: str) -> BreakerState | None:
        """A breaker as Redis last told it, without what this process foresees."""
        return self._confirmed.get(name)

    async def _run(self, store: Store, batch: _Batch) -> None:
        if batch is not self._forming:
            return
        self._forming, self._running = None, batch
        try:
            work = self._exact(store, batch)
            await (work if batch.limit is None else self._link.promptly(work, batch.limit))
        except RegistryError as error:
            batch.error = error
        finally:
            self._running = None
            batch.finish()
            if self._forming is not None:
                waiting = self._forming
                task = self._session.spawn(self._run(store, waiting))
                # One that is cancelled before it begins would leave them waiting for ever.
                task.add_done_callback(lambda ended: ended.cancelled() and waiting.finish())

    async def _exact(self, store: Store, batch: _Batch) -> None:
        began = time.monotonic()
        kind = self.service_type
        synced = await store.snapshots.sync(kind, self.snapshot.version, batch.steps)
        if batch.steps:
            batch.positions = dict(zip(batch.steps, synced.positions, strict=True))
        if self._note_clock(synced.now):
            synced = await store.snapshots.sync(kind, self.snapshot.version, {})
        if synced.expired and self._membership.may_bury():
            ids = [one.id for one in self.snapshot.registrations]
            await store.registrations.sweep(kind, ids)
            synced = await store.snapshots.sync(kind, self.snapshot.version, {})
        pause = _FIRST_PAUSE
        while synced.changed is not None and not await self._load(store, *synced.changed):
            # Where much is registered at once, it moves on before it can be read.
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            synced = await store.snapshots.sync(kind, self.snapshot.version, {})
        self._ahead = synced.now - _monotonic()
        self._loaded = True
        self.place = self.place or _place(synced.now)
        if self.snapshot.version[1] and self._link.ok:
            self.heard_at = began
            self.fresh_until = began + self._max_staleness
        batch.now = synced.now
        batch.snapshot = self.snapshot

    async def _load(self, store: Store, version: Version, orders: dict[str, float]) -> bool:
        """Take over a whole new state; False if it must be asked for again."""
        before = self.snapshot
        if before.version[0] not in {"", version[0]}:
            # Redis lost everything: what this process knows of it goes back first.
            known = replace(before, breakers=self._confirmed)
            await self._membership.recover(store, known, self.now())
            self.snapshot = replace(self.snapshot, version=NOTHING)
            self.place = ""  # the new server's clock may be behind
            return False
        names = list(dict.fromkeys([*map(name_of, orders), *self._watched()]))
        loaded = await store.snapshots.load(self.service_type, version, list(orders), names)
        if loaded is None:
            return False
        read = Snapshot.from_loaded(
            self.service_type, version, orders, loaded, self._default, before.damaged
        )
        self._membership.notice(read)
        ended = [
            name
            for name, known in self.snapshot.breakers.items()
            if known.own is not None
            and (name not in read.breakers or self._carry(known, name, read.breakers[name]))
        ]
        self._confirmed = dict(read.breakers)
        self._answered.clear()
        self._room = 2 * len(read.breakers) + _ROOM
        self.place = self.place or _place(loaded.now)
        self.asked = {name: at for name, at in self.asked.items() if name in read.breakers}
        self.change(read.with_own(self._membership.own(self.service_type)))
        for name in ended:
            self.on_ended(name)
        return True

    def _tidy(self) -> None:
        """Forget the breakers that the next load would not read: programs make up names."""
        kept = {*self.snapshot.names(), *self._watched()}
        breakers = self.snapshot.breakers
        self.snapshot = replace(
            self.snapshot, breakers={name: one for name, one in breakers.items() if name in kept}
        )
        for known in (self._confirmed, self._answered, self.asked, self.alerts, self.told):
            for name in [name for name in known if name not in kept]:
                del known[name]
        self._room = 2 * len(kept) + _ROOM

    def _watched(self) -> list[str]:
        """Breakers that matter here though they may have no registration."""
        now = self.now()
        standing = [
            name
            for name, breaker in self.snapshot.breakers.items()
            if breaker.state is not CircuitState.CLOSED
            or breaker.cooldown_until > now
            or breaker.is_open_here(now)
            or breaker.override_in_force(now)
        ]
        return [*standing, *self.handles]

    def _follows(self, event: Event) -> bool:
        if event.kind == "breaker_failing":
            self._alert(event.provider)
            return True
        if event.version is None:
            self._note_member(event)
            return True  # it changes nothing that a resolve looks at
        ahead = _ahead(event.version, self.snapshot.version)
        if ahead is not None and ahead <= 0:
            return True  # known already
        known = self.snapshot.breakers.get(event.provider)
        fields = _told(event.breaker)
        if event.version[0] != self.snapshot.version[0] or known is None or not fields:
            return False
        # Also where there is more to come: nobody should call a provider until that is read.
        version = event.version if ahead == 1 else self.snapshot.version
        taken = self._take_over(known, event.provider, event.at, fields, version=version)
        return taken and ahead == 1

    def _note_clock(self, now: int) -> bool:
        """The server says what time it is; whether its clock has stepped back.

        Then no time that it told before says what is older than what.
        """
        stepped = self._loaded and now < self.now() - _STEP
        self._ahead = now - _monotonic()
        if stepped:
            self._answered.clear()
            self.expire()
        return stepped

    def _alert(self, name: str) -> None:
        """A streak of failures runs somewhere: whoever has seen successes says so now."""
        if name in self.snapshot.breakers:
            self.alerts[name] = time.monotonic() + _ALERT
            self._successes.hurry()

    def _note_member(self, event: Event) -> None:
        registration_id = event.details.get("id", "")
        members = dict(self.snapshot.members.get(registration_id, {}))
        if event.kind == "member_joined":
            members[event.by] = event.at
        elif event.kind in {"member_left", "member_expired"}:
            members.pop(event.details.get("process", event.by), None)
        else:
            return
        everybody = {**self.snapshot.members, registration_id: members}
        self.snapshot = replace(self.snapshot, members=everybody)

    def _take_over(
        self,
        known: BreakerState,
        name: str,
        at: int,
        fields: Mapping[str, str],
        permit: tuple[str, int] | None = None,
        version: Version | None = None,
    ) -> bool:
        """False if it cannot be read, or nobody can tell what it means.

        What is older than what is known changes nothing.
        """
        breaker = BreakerState(
            known.config, buckets=[*known.buckets], reporters=known.reporters.copy()
        )
        if update_breaker(breaker, fields):
            return False
        confirmed = self._confirmed.get(name, known)
        # A generation tells old from new also where the server's clock has stepped back.
        if breaker.generation <= confirmed.generation and at < self._answered.get(name, 0):
            if version is None:
                return True
            if _admission(breaker) != _admission(confirmed):
                return False
            self.snapshot = replace(self.snapshot, version=version)
            return True
        now = self.now()
        self._answered[name] = at if at <= now + _STEP else now
        if breaker.generation == known.generation:
            breaker.permits.update(known.permits)
        if permit is not None:
            breaker.permits[permit[0]] = permit[1]
        ended = self._carry(known, name, breaker)
        self._confirmed[name] = breaker
        self.put(name, breaker, version)
        if ended:
            self.on_ended(name)
        return True

    def _carry(self, known: BreakerState, name: str, breaker: BreakerState) -> bool:
        """Keep this process's own streak beside what is shared; whether that has ended it.

        What is decided for all ends it, be it an opening, a reset or an operator's word.
        """
        own = known.own
        if own is None:
            return False
        same = name not in self._confirmed or own.decided_at == breaker.decided_at
        if not same or breaker.state is not CircuitState.CLOSED:
            return True
        own = replace(own, decided_at=breaker.decided_at)
        breaker.own = own.bounded(self.now(), breaker.config)
        return False


def _admission(breaker: BreakerState) -> tuple[object, ...]:
    """What decides who may call, apart from permits."""
    return (
        breaker.state,
        breaker.generation,
        breaker.retry_at,
        breaker.cooldown_until,
        breaker.override,
        breaker.override_until,
        (breaker.own.until, breaker.own.trial_until) if breaker.own is not None else (0, 0),
    )


def _ahead(version: Version, known: Version) -> int | None:
    """By how many changes a version is ahead of another; None if nobody can tell."""
    if version[0] != known[0]:
        return None
    try:
        return int(version[1]) - int(known[1])
    except ValueError:
        return None


def _told(text: str) -> dict[str, str]:
    """A breaker's state as an event tells it; empty if it tells none, or not all of it."""
    try:
        fields = dict(paired(json.loads(text) if text else []))
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return fields if _STATE.issubset(fields) else {}


def _place(at: int) -> str:
    return f"{max(0, at - _OVERLAP)}-0"


def _monotonic() -> int:
    return int(time.monotonic() * 1000)
