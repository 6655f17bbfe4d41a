"""Service types in Redis, read whole: the content of a snapshot.

Owns one typed method for each script that compares versions and reads. Holds no copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ciris_registry.store.records.chunks import chunks
from ciris_registry.store.records.decoding import counters, paired
from ciris_registry.store.records.replies import Loaded, Synced
from ciris_registry.store.script_runner import flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ciris_registry.store.records.replies import Version
    from ciris_registry.store.script_runner import ScriptRunner

_KEYS_OF_A_BREAKER: Final = 3


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
        now = int(reply[1])
        if reply[0] == "same":
            return Synced(now, [int(one) for one in reply[2:]])
        listed = 5 + int(reply[4])
        orders = {one: float(order) for one, order in paired(reply[listed:])}
        positions = [int(one) for one in reply[5:listed]]
        return Synced(now, positions, ((reply[2], reply[3]), orders))

    async def load(
        self, service_type: str, version: Version, ids: Sequence[str], names: Sequence[str]
    ) -> Loaded | None:
        """Read a service type whole at ``version``; None if it has changed since."""
        wanted = [*((one, True) for one in ids), *((one, False) for one in names)]
        loaded = Loaded(0, {}, {}, {}, {})
        # One call at least: it has the server's time.
        for chunk in list(chunks(wanted, lambda _: _KEYS_OF_A_BREAKER)) or [[]]:
            now = await self._load_into(loaded, service_type, version, chunk)
            if now is None:
                return None
            loaded = loaded._replace(now=now)
        return loaded

    async def _load_into(
        self,
        loaded: Loaded,
        service_type: str,
        version: Version,
        wanted: Sequence[tuple[str, bool]],
    ) -> int | None:
        """Read registrations (True) and breakers; the server's time, None if it has changed."""
        keys = self._calls.keys(service_type)
        ids = [one for one, is_registration in wanted if is_registration]
        names = [one for one, is_registration in wanted if not is_registration]
        hashes = [keys.registration(one) for one in ids]
        for name in names:
            hashes += (keys.breaker(name), keys.permits(name), keys.callers(name))
        code, now, *found = await self._calls.run(
            "snapshot_load",
            service_type,
            more_keys=hashes,
            epoch=version[0],
            revision=version[1],
            ids=len(ids),
        )
        if code == "moved":
            return None
        for one, fields in zip(ids, found, strict=False):
            loaded.records[one] = dict(paired(fields))
        for name, (fields, permits, callers) in zip(names, _threes(found[len(ids) :]), strict=True):
            loaded.breakers[name] = dict(paired(fields))
            loaded.permits[name] = counters(permits)
            loaded.callers[name] = counters(callers)
        return int(now)

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


def _threes(found: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    return zip(found[::3], found[1::3], found[2::3], strict=True)
