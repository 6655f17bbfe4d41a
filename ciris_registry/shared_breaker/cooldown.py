"""Cooldowns: a provider has asked not to be called for some time.

A cooldown begins in this process at once, in the fleet as soon as it is in Redis. One that Redis
did not take is counted offline and merged later. The classifier reads the providers' replies.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import length_of
from ciris_registry.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Session, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity


_log = logging.getLogger(__name__)


class Cooldowns:
    """The cooldowns that this process reports."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        writes: BreakerWrites,
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._writes = writes

    def begin(self, breaker: SharedBreaker, seconds: float, reason: str) -> None:
        """Begin one in this process; the write to Redis follows in order."""
        length = length_of(seconds)
        until = self._begin_locally(breaker, length)
        self._write_queue.put(
            f"a cooldown of {breaker.service_type} {breaker.name}",
            lambda store: self._writes.cool_down(breaker, store, length, reason),
            away=lambda: self._note_offline(breaker, until),
        )

    async def abegin(self, breaker: SharedBreaker, seconds: float, reason: str) -> None:
        """Begin one everywhere, or in this process if Redis is away."""
        length = length_of(seconds)
        store = await self._session.store()
        until = self._begin_locally(breaker, length)
        with contextlib.suppress(StoreUnavailableError):
            writing = self._session.send(self._write(breaker, store, length, until, reason))
            await self._connectivity.while_answering(writing)

    def _begin_locally(self, breaker: SharedBreaker, length: int) -> int:
        """Cool down in this process; until when, by the server's clock."""
        breaker.apply_optimistically(lambda state, now: state.cool_down(now, length))
        return breaker.replica.now() + length

    async def _write(
        self, breaker: SharedBreaker, store: Store, length: int, until: int, reason: str
    ) -> None:
        """Write a cooldown to Redis; if Redis does not take it, count it offline."""
        try:
            await self._writes.flush_before()
            self._connectivity.require()
            await self._writes.cool_down(breaker, store, length, reason)
        except StoreUnavailableError as error:
            self._connectivity.suspect(error)
            self._note_offline(breaker, until)
        except StoreError as error:
            _log.warning("%s cools down in this process only: %s", breaker.name, error)

    def _note_offline(self, breaker: SharedBreaker, until: int) -> None:
        counts = breaker.offline()
        counts.cools_until = max(counts.cools_until, until)
