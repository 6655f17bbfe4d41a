"""Reading event streams as they grow, on a connection of its own that waits on the server.

Every process of a fleet wakes when one of them opens a breaker, so each step between the socket
and the events counts that many times: there is no task for a read, and no pool. It refuses to know
what an event means.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from ciris_registry.events import Event
from ciris_registry.readback import paired
from ciris_registry.wire import InterruptedWaitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ciris_registry.transport import Transport


class EventReader:
    """Reads the streams of a namespace; an async context, which owns the connection."""

    def __init__(self, transport: Transport, stream_of: Callable[[str], str]) -> None:
        self._transport = transport
        self._line = transport.line()
        self._stream_of = stream_of
        self._interrupted = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._line.aclose()

    def interrupt(self) -> None:
        """End the read that waits now, which costs its connection, or the next one if none does.

        To be called in its loop.
        """
        self._interrupted = True
        self._line.interrupt()

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
        reply: list[Any] | None = None
        with contextlib.suppress(InterruptedWaitError):
            if not self._interrupted:
                reply = await self._transport.wait(self._line, command)
        if self._interrupted and not reply:
            self._interrupted = False
            return None
        return [
            Event.parse(types[stream], entry_id, dict(paired(fields)))
            for stream, entries in reply or ()
            for entry_id, fields in entries
        ]
