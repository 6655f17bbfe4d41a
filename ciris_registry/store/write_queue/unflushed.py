"""Registrations reach Redis before the next awaited call returns, whatever partition that is in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from ciris_registry.store.session import Session
    from ciris_registry.store.write_queue.write_queue import WriteQueue

_ELSEWHERE: Final = 0.25
"""Seconds that a call waits for the registrations of another partition."""


async def flush_all(unflushed: Collection[WriteQueue], own: WriteQueue, session: Session) -> None:
    """Flush the queue of a call's partition, and others that hold a registration.

    ``own`` is that queue, and ``session`` its session. A partition that is away slows no other one.
    """
    others = [one for one in unflushed if one is not own]
    if own.pending:
        await own.flush_unless_away()
    if others:
        work = [session.spawn(one.flush_unless_away(), watched=True) for one in others]
        await asyncio.wait(work, timeout=_ELSEWHERE)
