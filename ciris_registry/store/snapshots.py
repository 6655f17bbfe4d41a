"""Service types in Redis, read whole: the content of a snapshot.

Owns one typed method for each script that compares versions and reads. Holds no copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.store.decoding import counters, paired
from ciris_registry.store.replies import Loaded, Synced
from ciris_registry.store.script_runner import flat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ciris_registry.store.replies import Version
    from ciris_registry.store.script_runner import ScriptRunner


class SnapshotStore:
    """The service types of one namespace."""

    def __init__(self, calls: ScriptRunner) -> None:
        self._calls = calls

    async def sync(self, service_type: str, version: Version, steps: Mapping[str, int]) -> Synced:
        """Compare a replica's version with Redis, and take cursor steps in the same call."""
        reply = await self._calls.run(
            "snapshot_sync",
            service_type,
            epoch=version[0],
            revision=version[1],
            retention_ms=self._calls.retention,
            steps=flat(steps) if steps else (),
        )
        now, expired = int(reply[1]), int(reply[2])
        if reply[0] == "same":
            return Synced(now, expired, [int(one) for one in reply[3:]])
        listed = 6 + int(reply[5])
        orders = {one: float(order) for one, order in paired(reply[listed:])}
        positions = [int(one) for one in reply[6:listed]]
        return Synced(now, expired, positions, ((reply[3], reply[4]), orders))

    async def load(
        self, service_type: str, version: Version, ids: Sequence[str], names: Sequence[str]
    ) -> Loaded | None:
        """Read a service type whole at ``version``; None if it has changed since."""
        keys = self._calls.keys(service_type)
        hashes = [keys.registration(one) for one in ids]
        for name in names:
            hashes += (keys.breaker(name), keys.permits(name), keys.callers(name))
        reply = await self._calls.run(
            "snapshot_load",
            service_type,
            more_keys=hashes,
            epoch=version[0],
            revision=version[1],
            ids=len(ids),
        )
        if reply[0] == "moved":
            return None
        now, members, *rest = reply[1:]
        found = rest[len(ids) :]
        return Loaded(
            now=int(now),
            members=counters(members),
            records={one: dict(paired(fields)) for one, fields in zip(ids, rest, strict=False)},
            breakers={name: dict(paired(found[3 * i])) for i, name in enumerate(names)},
            permits={name: counters(found[3 * i + 1]) for i, name in enumerate(names)},
            callers={name: counters(found[3 * i + 2]) for i, name in enumerate(names)},
        )

    async def take_positions(self, service_type: str, cursor: str, steps: int) -> int:
        """Take the next positions of a round robin; the first of them. 0 steps take none."""
        calls = self._calls
        reply = await calls.run(
            "cursor_take", service_type, cursor=cursor, steps=steps, retention_ms=calls.retention
        )
        return int(reply[1])

    async def begin_epoch(self, service_type: str, seen: Version) -> bool:
        """Begin a new epoch if the data are older than the version ``seen``; whether they are."""
        reply = await self._calls.run(
            "epoch_begin",
            service_type,
            process=self._calls.process,
            epoch=seen[0],
            revision=seen[1],
        )
        return bool(reply[0] == "begun")

    async def announce_restored(
        self, service_type: str, reason: str, breakers: str, registrations: int
    ) -> None:
        """Write the event that says what this process has put back."""
        await self._calls.run(
            "restoration_announce",
            service_type,
            process=self._calls.process,
            reason=reason,
            breakers=breakers,
            registrations=registrations,
        )
