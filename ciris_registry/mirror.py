"""The snapshot of one service type, how fresh it is, and who may rely on it.

Exact mode: each resolve is one script call that compares versions. Resolves that wait at the same
time share the next call to start, since a resolve may rely on any call that began after it asked.
It refuses to write: what has to be put back after Redis lost it is the membership's work.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ciris_registry.breaker_rules import Verdict
from ciris_registry.errors import RegistryError
from ciris_registry.readback import parse_breaker, update_breaker
from ciris_registry.records import name_of
from ciris_registry.replies import NOTHING
from ciris_registry.snapshot import Snapshot

if TYPE_CHECKING:
    from ciris_registry.breaker_config import CircuitBreakerConfig
    from ciris_registry.breaker_rules import BreakerState
    from ciris_registry.membership import Membership
    from ciris_registry.records import Registration
    from ciris_registry.replies import BreakerReply, Version
    from ciris_registry.session import Session
    from ciris_registry.store import Store


class _Batch:
    """Resolves that share one call, and the cursor steps that they take in it."""

    __slots__ = ("error", "finished", "now", "positions", "snapshot", "steps")

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.finished = asyncio.Event()
        self.error: RegistryError | None = None
        self.snapshot: Snapshot | None = None
        self.now = 0
        self.positions: dict[str, int] = {}

    def join(self, cursor: str) -> int:
        """Take part; the place among those who move the same cursor."""
        if not cursor:
            return 0
        place = self.steps.get(cursor, 0)
        self.steps[cursor] = place + 1
        return place


class Mirror:
    """This process's copy of one service type, kept true on demand."""

    def __init__(
        self,
        session: Session,
        service_type: str,
        membership: Membership,
        default: CircuitBreakerConfig,
    ) -> None:
        self.service_type = service_type
        self.snapshot = Snapshot(service_type)
        self._session = session
        self._membership = membership
        self._default = default
        self._ahead = int(time.time() * 1000) - _monotonic()
        self._confirmed: dict[str, BreakerState] = {}
        self._answered: dict[str, int] = {}
        self._forming: _Batch | None = None
        self._running: _Batch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> int:
        """The server's time in milliseconds, as far as this process can tell without asking."""
        return _monotonic() + self._ahead

    async def sync(self, store: Store, cursor: str = "") -> tuple[Snapshot, int, int]:
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
            place = batch.join(cursor)
            if self._running is None:
                await self._run(store, batch)
            else:
                await batch.finished.wait()
            if batch.error is not None:
                raise batch.error
            if batch.snapshot is not None:
                return batch.snapshot, batch.now, batch.positions.get(cursor, 0) + place
            # Whoever asked for all of us was cancelled: ask again.

    async def reload(self, store: Store) -> Snapshot:
        """Read everything again, counters too, whether the version has changed or not."""
        # The same epoch: what tells a new life of the data from the old one must not be lost.
        self.expire()
        snapshot, _, _ = await self.sync(store)
        return snapshot

    async def read_breaker(self, store: Store, name: str) -> None:
        """Take over one breaker as it is now, counters too."""
        fields, permits = await store.read_breaker(self.service_type, name)
        if fields:
            breaker, _ = parse_breaker(fields, permits, self._default)
            self.snapshot = self.snapshot.with_breaker(name, breaker)

    def expire(self) -> None:
        """Have the next sync read everything: a write may mean more than its writer knew."""
        self.snapshot = replace(self.snapshot, version=(self.snapshot.version[0], ""))

    def change(self, snapshot: Snapshot) -> None:
        """Put what this process has just done over what it knew."""
        self.snapshot = snapshot

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
        self._ahead = reply.now - _monotonic()
        if reply.now < self._answered.get(name, 0):
            return
        self._answered[name] = reply.now
        breaker = known.copy()
        if int(reply.fields["generation"]) != known.generation:
            breaker.permits.clear()
        update_breaker(breaker, reply.fields)
        if permit is not None:
            breaker.permits[permit[0]] = permit[1]
        self._confirmed[name] = breaker
        self.snapshot = self.snapshot.with_breaker(name, breaker)

    def confirmed(self, name: str) -> BreakerState | None:
        """A breaker as Redis last told it, without what this process foresees."""
        return self._confirmed.get(name)

    async def _run(self, store: Store, batch: _Batch) -> None:
        if batch is not self._forming:
            return
        self._forming, self._running = None, batch
        try:
            await self._exact(store, batch)
        except RegistryError as error:
            batch.error = error
        finally:
            self._running = None
            batch.finished.set()
            if self._forming is not None:
                self._session.spawn(self._run(store, self._forming))

    async def _exact(self, store: Store, batch: _Batch) -> None:
        synced = await store.sync(self.service_type, self.snapshot.version, batch.steps)
        batch.positions = dict(zip(batch.steps, synced.positions, strict=True))
        if synced.expired and self._membership.may_bury():
            ids = [one.id for one in self.snapshot.registrations]
            await store.sweep(self.service_type, ids)
            synced = await store.sync(self.service_type, self.snapshot.version, {})
        while synced.changed is not None and not await self._load(store, *synced.changed):
            synced = await store.sync(self.service_type, self.snapshot.version, {})
        self._ahead = synced.now - _monotonic()
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
            return False
        names = list(dict.fromkeys([*map(name_of, orders), *before.breakers]))
        loaded = await store.load(self.service_type, version, list(orders), names)
        if loaded is None:
            return False
        read = Snapshot.from_loaded(
            self.service_type, version, orders, loaded, self._default, before.damaged
        )
        self._membership.notice(read)
        self._confirmed = dict(read.breakers)
        self._answered.clear()
        self.snapshot = read.with_own(self._membership.own(self.service_type))
        return True


def _monotonic() -> int:
    return int(time.monotonic() * 1000)
