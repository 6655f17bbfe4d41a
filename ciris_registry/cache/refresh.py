"""Reading a service type anew: one script call compares versions, a load follows if they differ.

A refresh also restores what Redis has lost.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.replica import FullState, Snapshot
from ciris_registry.cache.restoration import overtaken, restore, restore_all, restore_times
from ciris_registry.registration import name_of
from ciris_registry.store import NOTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.cache.desired_state import DesiredState
    from ciris_registry.cache.replica import Replica
    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.store import Store, Synced, Version
    from ciris_registry.store.connection import Connectivity

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
"""Seconds between two attempts to read a service type that keeps changing."""

_LOST: Final = "Redis has lost data"

Refreshed = tuple[int, "Mapping[str, int]"]
"""The server's time at which the replica was true, and the first position by cursor."""


class Refresh:
    """Brings one replica up to date, on demand."""

    def __init__(
        self,
        replica: Replica,
        connectivity: Connectivity,
        desired: DesiredState,
        default: CircuitBreakerConfig,
    ) -> None:
        self._replica = replica
        self._kind = replica.service_type
        self._connectivity = connectivity
        self._desired = desired
        self._default = default
        self._seen: Version = NOTHING
        self._asked = 0.0
        self._put_back: set[str] = set()

    async def run(self, store: Store, steps: Mapping[str, int]) -> Refreshed:
        """Bring the replica up to date, and take so many steps of each cursor in the same call.

        Raises:
            StoreUnavailableError: Redis is away.
            CorruptStateError: One of the keys has a value of another type.
        """
        began, replica = time.monotonic(), self._replica
        self._put_back.clear()
        synced = await self._compare(store, steps)
        positions = dict(zip(steps, synced.positions, strict=True)) if steps else {}
        clock_before = replica.take_clock_before()
        if clock_before is not None:
            known = replica.authoritative_snapshot()
            await restore_times(store, self._desired, known, clock_before.now())
            self._put_back.update(known.breakers)  # their times are others now
            synced = await self._compare(store, {})
        pause = _FIRST_PAUSE
        while synced.changed is not None and not await self._load(
            store, synced.now, *synced.changed
        ):
            # While many registrations arrive, the data changes before it can be read.
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            synced = await self._compare(store, {})
        replica.synchronized(began, synced.now, trusted=self._connectivity.state == "connected")
        return synced.now, positions

    async def _compare(self, store: Store, steps: Mapping[str, int]) -> Synced:
        replica, asked = self._replica, time.monotonic()
        self._seen, self._asked = replica.seen_version, asked
        synced = await store.snapshots.sync(self._kind, replica.snapshot.version, steps)
        replica.note_clock(synced.now, asked)
        return synced

    async def _load(
        self, store: Store, at: int, version: Version, orders: dict[str, float]
    ) -> bool:
        """Read and apply the whole state, which had this version ``at`` a time of the server.

        False if that has to be tried again. Data that change while they are read are later than the
        version in parts; the events since then, which a follower reads next, say nothing less.

        If Redis has lost data, restore what this process knows first. Only what it had seen before
        it asked shows a loss: an event may overtake the reply.
        """
        replica, kind = self._replica, self._kind
        snapshot, known = replica.snapshot, replica.authoritative_snapshot()
        if snapshot.version[0] not in {"", version[0]}:
            await restore_all(store, self._desired, known, replica.now(), _LOST)
            replica.lose()
            return False
        if is_earlier(version, self._seen):
            # A replica that had lagged was promoted. The script is the second question.
            await store.snapshots.begin_epoch(kind, self._seen)
            return False
        names = list(dict.fromkeys([*map(name_of, orders), *replica.names_to_load()]))
        loaded = await store.snapshots.load(kind, version, list(orders), names)
        if loaded is None:
            return False
        if loaded.moved:  # what was removed since is no damage
            orders = {one: order for one, order in orders.items() if loaded.records[one]}
        read = Snapshot.from_loaded(kind, version, orders, loaded, self._default, snapshot.damaged)
        ids = self._desired.lost(kind, loaded, self._asked)
        breakers = overtaken(known.breakers, read.breakers, loaded.now)
        if not self._put_back.issuperset([*ids, *breakers]):
            if not loaded.moved:  # else this process may have written or removed them since
                self._put_back.update(ids, breakers)
                await restore(store, self._desired, known, ids, breakers, replica.now(), _LOST)
            return False
        if is_earlier(version, replica.seen_version):
            return False  # an event has overtaken the reply
        self._desired.warn_of_changes(read)
        replica.apply(FullState(read.with_own(self._desired.registrations(kind)), at))
        return True


def is_earlier(version: Version, seen: Version) -> bool:
    """Whether a version is an earlier one of the same epoch."""
    if version[0] != seen[0]:
        return False
    try:
        return int(version[1]) < int(seen[1])
    except ValueError:
        return False
