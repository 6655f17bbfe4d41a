"""Events in Redis: one stream for each service type, read and never written here.

Owns the idle readers. The scripts write the events, each together with its change.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from ciris_registry.store.connection import WaitInterruptedError
from ciris_registry.store.records.decoding import paired
from ciris_registry.store.records.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.keys import TypeKeys


class EventReader:
    """Reads the streams of a namespace; an async context manager that owns the connection."""

    def __init__(self, transport: Transport, stream_of: Callable[[str], str]) -> None:
        self._transport = transport
        self._connection = transport.connection()
        self._stream_of = stream_of
        self._streams: dict[str, str] = {}
        self._interrupted = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    def interrupt(self) -> None:
        """End the read that waits now, which closes its connection, or else the next read.

        To be called in the event loop of the reader.
        """
        self._interrupted = True
        self._connection.interrupt()

    async def after(self, places: Mapping[str, str], block: int) -> list[Event] | None:
        """Events after the given id of each service type, oldest first in each.

        Waits up to ``block`` milliseconds for one; empty if there is none by then, None if the
        read was interrupted.

        Raises:
            StoreUnavailableError: Redis is away.
            CorruptStateError: One of the keys is no stream.
        """
        streams = self._streams
        for one in places:
            if one not in streams:
                streams[one] = self._stream_of(one)
        types = {streams[one]: one for one in places}
        command: tuple[str | int, ...] = (
            "XREAD",
            "BLOCK",
            block,
            "STREAMS",
            *types,
            *places.values(),
        )
        reply: list[Any] | None = None
        with contextlib.suppress(WaitInterruptedError):
            if not self._interrupted:
                reply = await self._transport.wait(self._connection, command)
        if self._interrupted and not reply:
            self._interrupted = False
            return None
        return [
            Event.parse(types[stream], entry_id, dict(paired(fields)))
            for stream, entries in reply or ()
            for entry_id, fields in entries
        ]


class EventStore:
    """The streams of one namespace: one for each service type, and ``""`` for its processes."""

    def __init__(
        self, transport: Transport, keys: Callable[[str], TypeKeys], processes: str
    ) -> None:
        self._transport = transport
        self._keys = keys
        self._processes = processes
        self._idle: list[EventReader] = []

    async def last(self, service_type: str) -> str:
        """The id of the newest event, ``0-0`` if there is none."""
        key = self._stream(service_type)
        entries = await self._transport.ask("XREVRANGE", key, "+", "-", "COUNT", 1)
        return str(entries[0][0]) if entries else "0-0"

    async def latest(self, service_type: str, count: int) -> list[Event]:
        """The newest ``count`` events, the oldest of them first."""
        key = self._stream(service_type)
        entries = await self._transport.ask("XREVRANGE", key, "+", "-", "COUNT", count)
        return [
            Event.parse(service_type, one, dict(paired(fields)))
            for one, fields in reversed(entries)
        ]

    async def after(self, places: Mapping[str, str], block: int) -> list[Event]:
        """Read once, with a reader that is kept for the next call.

        ``block`` is in milliseconds, and less than ``settings.REPLY_TIMEOUT``.
        """
        reader = self._idle.pop() if self._idle else self.reader()
        try:
            events = await reader.after(places, block)
        except BaseException:
            await reader.aclose()
            raise
        self._idle.append(reader)
        return events or []

    def reader(self) -> EventReader:
        """A reader of the streams, with a connection of its own."""
        return EventReader(self._transport, self._stream)

    def _stream(self, service_type: str) -> str:
        return self._keys(service_type).events if service_type else self._processes
