"""Processes as Redis has them: who they are, and which service types they use.

Owns one typed method for each script and command of a process. It refuses to know when a process
is to say that it is alive.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ciris_registry.store.decoding import counters
from ciris_registry.store.keys import process_key, types_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from redis.asyncio import Redis

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.script_runner import ScriptRunner


_HOST_CHARACTERS: Final = 60


def new_process_id() -> str:
    """``host-pid-token``: readable for a person, and new for each registry."""
    return f"{host_name()}-{os.getpid()}-{secrets.token_hex(3)}"


def host_name() -> str:
    """This machine's name, in letters that a key may have."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:_HOST_CHARACTERS]
    return host or "host"


class ProcessStore:
    """The processes of one namespace, as one of them says and sees it."""

    def __init__(self, runner: ScriptRunner, transport: Transport) -> None:
        self._runner = runner
        self._transport = transport
        self._namespace = runner.namespace

    async def heartbeat(
        self, host: str, pid: int, version: str, service_types: Sequence[str]
    ) -> None:
        """Say who this process is and which service types it uses."""
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
        """Be present no longer: the permits that this process holds are free at once."""
        await self._runner.run("process_leave", service_type, process=self._runner.process)

    async def service_types(self) -> list[str]:
        """The service types in use, in alphabetical order."""
        key = types_key(self._namespace)
        return sorted(await self._transport.command(lambda redis: redis.smembers(key)))

    async def local_trips(
        self, service_type: str, names: Sequence[str]
    ) -> dict[str, dict[str, int]]:
        """By provider, the processes in which alone its breaker is open, and until when."""
        keys = self._runner.keys(service_type)

        async def ask(redis: Redis) -> list[list[tuple[str, float]] | Exception]:
            pipeline = redis.pipeline(transaction=False)
            for name in names:
                pipeline.zrange(keys.local_trips(name), 0, -1, withscores=True)
            return await pipeline.execute(raise_on_error=False)

        found: list[Any] = await self._transport.command(ask) if names else []
        return {
            name: counters(list(chain(*one))) if isinstance(one, list) else {}
            for name, one in zip(names, found, strict=True)
        }

    async def infos(self, processes: Iterable[str]) -> list[dict[str, str]]:
        """Host, pid, version and start of processes, in one round trip.

        Of one that is gone or damaged it is empty.
        """
        keys = [process_key(self._namespace, one) for one in processes]

        async def ask(redis: Redis) -> list[dict[str, str] | Exception]:
            pipeline = redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hgetall(key)
            return await pipeline.execute(raise_on_error=False)

        found: list[dict[str, str] | Exception] = await self._transport.command(ask) if keys else []
        return [one if isinstance(one, dict) else {} for one in found]
