"""Events as Redis has them: one stream for each service type, read and never written.

Owns the readers that nobody uses at the moment. The scripts write events, each beside the change
that it tells of; this refuses to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.event_reader import EventReader
from ciris_registry.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ciris_registry.keys import TypeKeys
    from ciris_registry.transport import Transport


class StoredEvents:
    """The streams of one namespace."""

    def __init__(self, transport: Transport, keys: Callable[[str], TypeKeys]) -> None:
        self._transport = transport
        self._keys = keys
        self._idle: list[EventReader] = []

    async def last(self, service_type: str) -> str:
        """The id of the newest event, ``0-0`` if there is none."""
        key = self._keys(service_type).events
        entries = await self._transport.command(lambda redis: redis.xrevrange(key, count=1))
        return str(entries[0][0]) if entries else "0-0"

    async def latest(self, service_type: str, count: int) -> list[Event]:
        """The newest ``count`` events, the oldest of them first."""
        key = self._keys(service_type).events
        entries = await self._transport.command(lambda redis: redis.xrevrange(key, count=count))
        return [Event.parse(service_type, one, fields) for one, fields in reversed(entries)]

    async def after(self, places: Mapping[str, str], block: int) -> list[Event]:
        """One read, by a reader that is kept for the next one.

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
        """What reads the streams as they grow, on a connection of its own."""
        return EventReader(self._transport, lambda one: self._keys(one).events)
