"""Service types in Redis, read whole: the content of a snapshot.

Owns one typed method for each script that compares versions. Plain commands read the content: a
script would take twice as long, and every process of a fleet reads all of it. Holds no copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ciris_registry.store.records.chunks import chunks
from ciris_registry.store.records.decoding import counters, paired
from ciris_registry.store.records.replies import NOTHING, Loaded, Synced
from ciris_registry.store.script_runner import flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.records.replies import Version
    from ciris_registry.store.script_runner import ScriptRunner

_COMMANDS: Final = 3
"""The commands that read a breaker: its hash, its permits, its callers. A registration has one."""

_WHOLE: Final = "the content of a service type"
"""What a refused part of a load is a part of."""

_NEWEST_CALLERS: Final = 64
"""More callers than any quorum needs; a fleet may have thousands."""


class SnapshotStore:
    """The service types of one namespace."""

    def __init__(self, calls: ScriptRunner, transport: Transport) -> None:
        self._calls = calls
        self._transport = transport

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
        """Read a service type that had this ``version``; None if its data began anew since.

        Each key is as it was at that version or later; ``moved`` says whether any may be later.
        """
        wanted = [*((one, True) for one in ids), *((one, False) for one in names)]
        loaded = Loaded(0, {}, {}, {}, {})
        *others, last = list(chunks(wanted, lambda _: _COMMANDS)) or [[]]
        for chunk in others:
            await self._load_into(loaded, service_type, chunk)
        now, after = await self._load_into(loaded, service_type, last, ends=True)
        loaded.permits.update(await self._within_leases(loaded.permits))
        if after == version:
            return loaded._replace(now=now)
        return loaded._replace(now=now, moved=True) if _is_later(after, version) else None

    async def _load_into(
        self,
        loaded: Loaded,
        service_type: str,
        wanted: Sequence[tuple[str, bool]],
        *,
        ends: bool = False,
    ) -> tuple[int, Version]:
        """Read registrations (True) and breakers; the server's time, at the end the version."""
        keys, transport = self._calls.keys(service_type), self._transport
        ids = [one for one, is_registration in wanted if is_registration]
        names = [one for one, is_registration in wanted if not is_registration]
        commands: list[tuple[str | int, ...]] = [("TIME",)]
        commands += [("HGETALL", keys.registration(one)) for one in ids]
        for name in names:
            commands += (
                ("HGETALL", keys.breaker(name)),
                ("ZRANGE", keys.permits(name), 0, -1, "WITHSCORES"),
                ("ZREVRANGE", keys.callers(name), 0, _NEWEST_CALLERS - 1, "WITHSCORES"),
            )
        look = [("HMGET", keys.meta, "epoch", "revision")] if ends else []
        # A command that is redirected may be carried out after those behind it.
        first, then = ([*commands, *look], []) if transport.in_order else (commands, look)
        (seconds, microseconds), *found = await transport.ask_each(first, whole=_WHOLE)
        found += await transport.ask_each(then, whole=_WHOLE) if then else ()
        for one, fields in zip(ids, found, strict=False):
            loaded.records[one] = _hash(fields)
        breakers = found[len(ids) : len(commands) - 1]
        for name, (fields, permits, callers) in zip(names, _threes(breakers), strict=True):
            loaded.breakers[name] = _hash(fields)
            loaded.permits[name] = _scores(permits)
            loaded.callers[name] = _scores(callers)
        return int(seconds) * 1000 + int(microseconds) // 1000, _version(
            found[-1]
        ) if ends else NOTHING

    async def _within_leases(
        self, permits: Mapping[str, dict[str, int]]
    ) -> Mapping[str, dict[str, int]]:
        """The permits, each of which ends with the lease of its process at the latest."""
        processes = sorted({_process_of(one) for out in permits.values() for one in out})
        if not processes:
            return permits
        leases = self._calls.partition.leases
        found = await self._transport.ask_each(
            [("ZSCORE", leases, one) for one in processes], whole=_WHOLE
        )
        ends = _scores([part for pair in zip(processes, found, strict=True) for part in pair])
        return {
            name: {one: min(end, ends.get(_process_of(one), 0)) for one, end in out.items()}
            for name, out in permits.items()
        }

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


def _version(reply: Any) -> Version:
    """A version that was read; a damaged one is none, and the next comparison finds it, too."""
    if isinstance(reply, Exception):
        return NOTHING
    epoch, revision = reply
    return epoch or NOTHING[0], revision or NOTHING[1]


def _is_later(after: Version, before: Version) -> bool:
    """Whether one version follows another one in the same epoch."""
    try:
        return after[0] == before[0] and int(after[1]) > int(before[1])
    except ValueError:
        return False


def _hash(reply: Any) -> dict[str, str]:
    """A hash; a key of another type has the error as its field ``damaged``."""
    return {"damaged": str(reply)} if isinstance(reply, Exception) else dict(paired(reply))


def _scores(reply: Any) -> dict[str, int]:
    """A sorted set; a key of another type reads as an empty one."""
    return {} if isinstance(reply, Exception) else counters(reply)


def _process_of(permit: str) -> str:
    return permit.rpartition("|")[0]


def _threes(found: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    return zip(found[::3], found[1::3], found[2::3], strict=True)
