"""Reading event streams as they grow, on a connection of its own that waits on the server.

Every process of a fleet wakes when one of them opens a breaker, so each step between the socket
and the events counts that many times: there is no task for a read, and no pool.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from ciris_registry.events import Event
from ciris_registry.readback import paired

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ciris_registry.transport import Line


class EventReader:
    """Reads the streams of a namespace; an async context, which owns the connection."""

    def __init__(self, line: Line, stream_of: Callable[[str], str]) -> None:
        self._line = line
        self._stream_of = stream_of
        self._reading: asyncio.Timeout | None = None
        self._interrupted = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._line.aclose()

    def interrupt(self) -> None:
        """End the read that waits now, or the next one if none does; to be called in its loop."""
        self._interrupted = True
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(0)

    async def after(self, places: Mapping[str, str], block: int) -> list[Event] | None:
        """Events behind the given id of each service type, oldest first in each.

        Waits up to ``block`` milliseconds for one; empty if there is none by then, None if the
        read was interrupted.

        Raises:
            StoreUnavailableError: Redis is away.
            DamagedStateError: One of the keys is no stream.
        """
        types = {self._stream_of(one): one for one in places}
        command: tuple[str | int, ...] = (
            "XREAD",
            "BLOCK",
            block,
            "STREAMS",
            *types,
            *places.values(),
        )
        try:
            async with asyncio.timeout(None) as self._reading:
                if self._interrupted:
                    return None
                reply: list[Any] | None = await self._line.ask(command)
        except TimeoutError:
            if not self._interrupted:
                raise
            return None
        finally:
            self._reading, self._interrupted = None, False
        return [
            Event.parse(types[stream], entry_id, dict(paired(fields)))
            for stream, entries in reply or ()
            for entry_id, fields in entries
        ]
