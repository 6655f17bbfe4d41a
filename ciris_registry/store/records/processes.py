"""Processes in Redis: their leases, who they are, and the service types in use.

Owns one typed method for each script and command of a process. When a heartbeat is due, and when a
process looks for expired leases, is decided elsewhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ciris_registry.store.records.decoding import counters, paired
from ciris_registry.store.records.identity import host_name
from ciris_registry.store.records.registrations import held_by, held_name
from ciris_registry.store.records.replies import Beat
from ciris_registry.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.partitioning import Partitioning
    from ciris_registry.store.script_runner import ScriptRunner

_SWEEP: Final = 2_000
"""Milliseconds for which one process sweeps alone; another one repeats what it has left."""

_MOST_SWEPT: Final = 100
"""Expired leases that one sweep removes."""


class ProcessStore:
    """The processes of one partition, as one of them writes and reads them.

    ``share`` of the leases expiring together is a mass expiry, which suspends expiry. The first
    partition has the number of partitions: there, ``partitioning`` is what this process knows of
    it; elsewhere it is None.
    """

    def __init__(
        self,
        runner: ScriptRunner,
        transport: Transport,
        share: float,
        partitioning: Partitioning | None,
    ) -> None:
        self._runner = runner
        self._transport = transport
        self._keys = runner.partition
        self._share = repr(share)
        self._partitioning = partitioning

    async def heartbeat(
        self,
        service_types: Sequence[str],
        held: int,
        losses: str,
        interval: float,
        *,
        outage: bool,
    ) -> Beat:
        """Renew this process's lease; what Redis says of the service types that it uses.

        ``held`` is the number of registrations that this process has written, ``losses`` what the
        last beat said, ``interval`` the seconds between two looks of the fleet for lost data.
        """
        runner, partitioning = self._runner, self._partitioning
        code, now, expired, processes, losses, *found = await runner.run_in_partition(
            "process_heartbeat",
            runner.process,
            more_keys=[runner.keys(one).meta for one in service_types],
            holder=runner.process,
            lease_ms=runner.lease,
            retention_ms=runner.retention,
            interval_ms=round(interval * 1000),
            held=held,
            losses=losses,
            outage=int(outage),
            share=self._share,
            host=host_name(),
            pid=os.getpid(),
            version=__version__,
            partitions=partitioning.count if partitioning is not None else 0,
            origin=partitioning.origin if partitioning is not None else "",
            used=service_types,
        )
        partitions, origin, *columns = found
        if partitioning is not None:
            partitioning.adopt(partitions, origin)
        epochs, revisions, due = columns[::3], columns[1::3], columns[2::3]
        versions = dict(zip(service_types, zip(epochs, revisions, strict=True), strict=True))
        checks = [one for one, now_due in zip(service_types, due, strict=True) if now_due == "1"]
        return Beat(
            code == "rejoin", int(now), int(expired), int(processes), losses, versions, checks
        )

    async def agree_on_partitions(self) -> None:
        """Agree with the fleet on the number of partitions; in the first partition only."""
        runner, partitioning = self._runner, self._partitioning
        if partitioning is not None:
            _, partitions, origin = await runner.run_in_partition(
                "namespace_agree",
                partitions=partitioning.count,
                origin=partitioning.origin,
                actor=runner.process,
                keep_ms=runner.lease + runner.retention,
            )
            partitioning.adopt(partitions, origin)

    async def number_of_partitions(self) -> int:
        """The number of partitions as Redis has it; 1 if it has none. Writes nothing."""
        (found,) = await self._transport.ask("HMGET", self._keys.namespace, "partitions")
        return int(found) if found is not None and found.isdecimal() else 1

    async def leave(self) -> None:
        """End this process's lease: its permits and slots are free at once."""
        await self._runner.run_in_partition(
            "process_leave", self._runner.process, holder=self._runner.process
        )

    async def expired(self) -> list[str]:
        """The processes whose lease has expired, unless another process is removing them."""
        runner = self._runner
        _, *found = await runner.run_in_partition(
            "leases_expire",
            sweeper=runner.process,
            lease_ms=runner.lease,
            share=self._share,
            sweep_ms=_SWEEP,
            most=_MOST_SWEPT,
        )
        return found

    async def held(self, process: str) -> Mapping[str, list[str]]:
        """What hangs on the lease of a process: registration ids by service type."""
        key = self._keys.lease(process)
        return held_by(await self._transport.ask("SMEMBERS", key))

    async def end(self, process: str) -> None:
        """Remove a lease that has expired, after all that hung on it."""
        await self._runner.run_in_partition(
            "lease_end", process, holder=process, sweeper=self._runner.process
        )

    async def adopt(self, process: str, service_type: str, ids: Sequence[str]) -> None:
        """Give a holder without a lease one, so that what it holds expires with it."""
        await self._runner.run_in_partition(
            "lease_adopt",
            process,
            holder=process,
            lease_ms=self._runner.lease,
            held=[held_name(service_type, one) for one in ids],
        )

    async def leases(self) -> dict[str, int]:
        """The deadline of each lease."""
        key = self._keys.leases
        return counters(await self._transport.ask("ZRANGE", key, 0, -1, "WITHSCORES"))

    async def service_types(self) -> list[str]:
        """The service types in use, in alphabetical order."""
        key = self._keys.types
        return sorted(await self._transport.ask("SMEMBERS", key))

    async def local_trips(
        self, service_type: str, names: Sequence[str]
    ) -> dict[str, dict[str, int]]:
        """By provider, the processes with a local trip of its breaker, and the end of each trip."""
        keys = self._runner.keys(service_type)
        found: list[list[str] | Exception] = await self._transport.ask_each(
            ("ZRANGE", keys.local_trips(name), 0, -1, "WITHSCORES") for name in names
        )
        return {
            name: counters(one) if isinstance(one, list) else {}
            for name, one in zip(names, found, strict=True)
        }

    async def infos(self, processes: Iterable[str]) -> list[dict[str, str]]:
        """Host, pid, version and start of processes, in one round trip.

        Empty for a process whose record is missing or damaged.
        """
        found: list[list[str] | Exception] = await self._transport.ask_each(
            ("HGETALL", self._keys.process(one)) for one in processes
        )
        return [dict(paired(one)) if isinstance(one, list) else {} for one in found]
