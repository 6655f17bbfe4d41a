"""The only module that sends to Redis: each subject has the typed methods of its scripts.

Owns the transport. Does not select, decide or log.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ciris_registry.store.connection import Transport, no_answer
from ciris_registry.store.keys import PartitionKeys
from ciris_registry.store.records import (
    BreakerStore,
    EventStore,
    ProcessStore,
    RegistrationStore,
    SlotStore,
    SnapshotStore,
)
from ciris_registry.store.script_runner import ScriptRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store.connection import Clients, Refusals, RoundTrip, StoreURL
    from ciris_registry.store.keys import TypeKeys
    from ciris_registry.store.partitioning import Partitioning

_TLS_FILES: Final = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}

_EVICTION: Final = re.compile(r"^maxmemory_policy:(\S+)", re.MULTILINE)
_UPTIME: Final = re.compile(r"^uptime_in_seconds:(\d+)", re.MULTILINE)


class Store:
    """The shared state in one partition of a namespace.

    ``partitioning`` is what the process knows of the number of partitions, None if it writes no
    number. ``on_failure``, ``on_reply``, ``refusals`` and ``round_trip`` are the connectivity's.
    """

    def __init__(
        self,
        clients: Clients,
        namespace: str,
        process: str,
        settings: RegistrySettings,
        partition: int = 0,
        partitioning: Partitioning | None = None,
        on_failure: Callable[[object], None] | None = None,
        on_reply: Callable[[], None] = lambda: None,
        refusals: Refusals | None = None,
        round_trip: RoundTrip | None = None,
    ) -> None:
        # A caller that hears of failures repeats its call after an outage, so nothing is retried.
        write_timeout = settings.write_timeout if on_failure is None else 0.0
        self.process = process
        self.namespace = namespace
        self.partition = partition
        self._transport = Transport(
            clients.route(PartitionKeys(namespace, partition).root),
            clients.url.redacted,
            write_timeout,
            clients.revive,
            on_failure or (lambda _: None),
            on_reply,
            refusals,
            round_trip,
            _files_of(clients.url),
        )
        self._names_user = clients.url.names_user
        self._url = clients.url.redacted
        lease, retention = round(settings.lease * 1000), round(settings.retention * 1000)
        self._calls = calls = ScriptRunner(
            self._transport, namespace, partition, process, lease, retention
        )
        self.registrations = RegistrationStore(calls, self._transport)
        self.processes = ProcessStore(
            calls,
            self._transport,
            settings.mass_expiry_share,
            partitioning if partition == 0 else None,
        )
        self.snapshots = SnapshotStore(calls, self._transport)
        self.breakers = BreakerStore(calls)
        self.slots = SlotStore(calls)
        self.events = EventStore(self._transport, calls.keys, calls.partition.processes)

    @property
    def ready(self) -> bool:
        """Whether a call is sent as soon as it is made: the connection is open."""
        return self._transport.ready

    def keys(self, service_type: str) -> TypeKeys:
        """The keys of one service type."""
        return self._calls.keys(service_type)

    async def uptime(self) -> int | None:
        """Seconds since the server started; None if it does not report that."""
        (said,) = await self._transport.ask_each([("INFO", "server")])
        found = _UPTIME.search(said) if isinstance(said, str) else None
        return int(found[1]) if found is not None else None

    async def eviction_policy(self) -> str | None:
        """Which keys the server removes when its memory is full; None if it does not report that.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        (said,) = await self._transport.ask_each([("INFO", "memory")])
        found = _EVICTION.search(said) if isinstance(said, str) else None
        return found[1] if found is not None else None

    async def ping(self, limit: float) -> None:
        """Have Redis answer within ``limit`` seconds.

        Raises:
            StoreUnavailableError: It does not.
        """
        await self._transport.ping(limit)

    async def check_rights(self, *, refused: bool = False) -> None:
        """Have Redis try each command that this process will use; it changes nothing.

        A script that is refused midway leaves what it has written: better to know before. Where
        the URL names no user, only if something was ``refused``: the default user may do all.

        Raises:
            AccessDeniedError: The user may not run some of them; its text names them.
            StoreUnavailableError: Redis is away.
        """
        if self._names_user or refused:
            await self._calls.run_in_partition("rights_check")

    def no_answer(self, seconds: float) -> str:
        """The problem of a server that has not answered for so many seconds, in words."""
        return no_answer(seconds, self._url, opened=self.is_open)

    @property
    def is_open(self) -> bool:
        """Whether a connection is open: the server has answered its handshake."""
        return self._transport.is_open

    def renew_connection(self) -> None:
        """Open a new connection: the current one, or the server behind it, may be dead."""
        self._transport.renew()

    async def end_silent_connections(self, seconds: float) -> None:
        """Close connections in use before, whose last replies stay away for so many seconds."""
        await self._transport.end_silent(seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def _files_of(url: StoreURL) -> list[str]:
    """The files that a connection needs."""
    named = [text for name, text in url.tls if name in _TLS_FILES]
    return [*named, str(url.path)] if url.scheme == "unix" else named
