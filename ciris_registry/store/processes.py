"""Processes in Redis: host, pid and version of each, and the service types in use.

Owns one typed method for each script and command of a process. When a heartbeat is due is decided
elsewhere.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from typing import TYPE_CHECKING, Final

from ciris_registry.store.decoding import counters, paired
from ciris_registry.store.keys import process_key, types_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.script_runner import ScriptRunner


_HOST_CHARACTERS: Final = 60


def new_process_id() -> str:
    """``host-pid-token``: readable, and new for each registry."""
    return f"{host_name()}-{os.getpid()}-{secrets.token_hex(3)}"


def host_name() -> str:
    """This machine's name, with the characters that a key may have."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:_HOST_CHARACTERS]
    return host or "host"


class ProcessStore:
    """The processes of one namespace, as one of them writes and reads them."""

    def __init__(self, runner: ScriptRunner, transport: Transport) -> None:
        self._runner = runner
        self._transport = transport
        self._namespace = runner.namespace

    async def heartbeat(
        self, host: str, pid: int, version: str, service_types: Sequence[str]
    ) -> None:
        """Write this process's record and the service types that it uses."""
        runner = self._runner
        await runner.run_with(
            "process_heartbeat",
            {
                "process": process_key(self._namespace, runner.process),
                "types": types_key(self._namespace),
            },
            lease_ms=runner.lease,
            retention_ms=runner.retention,
            host=host,
            pid=pid,
            version=version,
            used=service_types,
        )

    async def leave(self, service_type: str) -> None:
        """End this process's presence: its permits are free at once."""
        await self._runner.run("process_leave", service_type, process=self._runner.process)

    async def service_types(self) -> list[str]:
        """The service types in use, in alphabetical order."""
        key = types_key(self._namespace)
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
            ("HGETALL", process_key(self._namespace, one)) for one in processes
        )
        return [dict(paired(one)) if isinstance(one, list) else {} for one in found]
