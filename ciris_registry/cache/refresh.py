"""Bringing one mirror up to date: a script call that compares versions, and a load if they differ.

Owns what has to be done before the mirror may be relied on: what has expired is swept away, and
what Redis has lost is put back first, by the membership. It refuses to know who has asked for it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.snapshot import Snapshot
from ciris_registry.registration import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.cache.replica import Replica
    from ciris_registry.parts import Parts
    from ciris_registry.store import Store, Synced, Version

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
"""Seconds between two attempts to read what keeps changing."""


UpToDate = tuple[int, "Mapping[str, int]"]
"""The server's time at which the mirror was true, and the first position by cursor."""


class Refresh:
    """Keeps one mirror in agreement with Redis, on demand."""

    def __init__(self, replica: Replica, parts: Parts) -> None:
        self._replica = replica
        self._kind = replica.service_type
        self._connectivity = parts.connectivity
        self._desired = parts.desired
        self._default = parts.settings.breaker

    async def agree(self, store: Store, steps: Mapping[str, int]) -> UpToDate:
        """Have the mirror agree with Redis, and take so many steps of each cursor along.

        Raises:
            StoreUnavailableError: Redis is away.
            DamagedStateError: Somebody wrote another type under one of its keys.
        """
        began, replica = time.monotonic(), self._replica
        synced = await store.snapshots.sync(self._kind, replica.snapshot.version, steps)
        positions = dict(zip(steps, synced.positions, strict=True)) if steps else {}
        if replica.note_clock(synced.now):
            synced = await self._compare(store)
        if synced.expired and self._desired.may_bury():
            await store.registrations.sweep(
                self._kind, [one.id for one in replica.snapshot.registrations]
            )
            synced = await self._compare(store)
        pause = _FIRST_PAUSE
        while synced.changed is not None and not await self._load(store, *synced.changed):
            # Where much is registered at once, it moves on before it can be read.
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            synced = await self._compare(store)
        replica.agree(began, synced.now, trusted=self._connectivity.ok)
        return synced.now, positions

    async def _compare(self, store: Store) -> Synced:
        synced = await store.snapshots.sync(self._kind, self._replica.snapshot.version, {})
        self._replica.note_clock(synced.now)
        return synced

    async def _load(self, store: Store, version: Version, orders: dict[str, float]) -> bool:
        """Take over a whole new state; False if it must be asked for again."""
        replica, kind = self._replica, self._kind
        known = replica.snapshot
        if known.version[0] not in {"", version[0]}:
            # Redis lost everything: what this process knows of it goes back first.
            await self._desired.recover(store, replica.as_told(), replica.now())
            replica.lose()
            return False
        names = list(dict.fromkeys([*map(name_of, orders), *replica.watched()]))
        loaded = await store.snapshots.load(kind, version, list(orders), names)
        if loaded is None:
            return False
        read = Snapshot.from_loaded(kind, version, orders, loaded, self._default, known.damaged)
        self._desired.notice(read)
        replica.replace_all(read.with_own(self._desired.own(kind)), loaded.now)
        return True
