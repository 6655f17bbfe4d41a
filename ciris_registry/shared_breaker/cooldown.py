"""A provider has said for how long it wants to be left alone: first here, then everywhere.

Owns that this process leaves it alone at once, and that nobody who was told forgets it because
Redis is away. It refuses to read what a provider said.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import length_of
from ciris_registry.errors import StoreUnavailableError

if TYPE_CHECKING:
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Store


class Cooldowns:
    """The cooldowns that this process tells."""

    def __init__(self, writes: BreakerWrites, parts: Parts) -> None:
        self._writes = writes
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._write_queue = parts.write_queue

    def begin(self, shared: SharedBreaker, seconds: float, reason: str) -> None:
        """One begins here; the fleet is told in order."""
        length = length_of(seconds)
        until = self._begin_here(shared, length)
        self._write_queue.put(
            f"a cooldown of {shared.service_type} {shared.name}",
            lambda store: self._writes.cool_down(shared, store, length, reason),
            away=lambda: self._learn(shared, until),
        )

    async def abegin(self, shared: SharedBreaker, seconds: float, reason: str) -> None:
        """One begins, everywhere when this returns, or here if Redis is away."""
        length = length_of(seconds)
        store = await self._session.store()
        until = self._begin_here(shared, length)
        with contextlib.suppress(StoreUnavailableError):
            telling = self._write_queue.send(self._tell(shared, store, length, until, reason))
            await self._connectivity.attentively(telling)

    def _begin_here(self, shared: SharedBreaker, length: int) -> int:
        """Cool down in this process; until when, by the server's clock."""
        shared.apply_optimistically(lambda breaker, now: breaker.cool_down(now, length))
        return shared.replica.now() + length

    async def _tell(
        self, shared: SharedBreaker, store: Store, length: int, until: int, reason: str
    ) -> None:
        """Tell the fleet of a cooldown; where Redis does not take it, when Redis is back."""
        try:
            await self._writes.sent_before()
            self._connectivity.check()
            await self._writes.cool_down(shared, store, length, reason)
        except StoreUnavailableError as error:
            self._connectivity.doubt(error)
            self._learn(shared, until)

    def _learn(self, shared: SharedBreaker, until: int) -> None:
        learned = shared.learned()
        learned.cools_until = max(learned.cools_until, until)
