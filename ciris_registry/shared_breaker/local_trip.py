"""What is open in this process only, and its trials: nobody else's business, but told as news.

Owns counting outcomes in this process's own streak, and telling the fleet once when that opens a
breaker here or closes it again. It refuses to say how a streak goes on: ``own_streak`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import ReplyCode, counted

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker import Outcome
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.store import Store


class LocalTrips:
    """The streaks of this process alone, as it counts and tells them."""

    def __init__(self, parts: Parts) -> None:
        self._write_queue = parts.write_queue
        self._desired = parts.desired

    def count(
        self, shared: SharedBreaker, outcome: Outcome, permit: str, generation: int | None
    ) -> str:
        """Count an outcome in this process's own streak; the permit that Redis may know of."""
        breaker = shared.known()
        own = breaker.own
        after = counted(breaker, shared.replica.now(), outcome, permit, generation)
        if after is not own:
            changed = breaker.copy()
            changed.own = after
            shared.replica.put(shared.name, changed)
            if after is None:
                self.tell(shared, "its trial succeeded")
        return "" if own is not None and permit == own.trial else permit

    def tell(self, shared: SharedBreaker, reason: str = "its own streak has ended") -> None:
        """Tell the fleet, if that is news, that it is open in this process only, or no longer.

        ``reason`` says why no longer.
        """
        if self._news(shared) is not None:
            self._write_queue.put(
                f"what is open here of {shared.service_type} {shared.name}",
                lambda store: self._isolate(shared, store, reason),
                repeatable=False,
            )

    def _news(self, shared: SharedBreaker) -> int | None:
        """Until when it is open in this process only, 0 if it is not; None if that is told."""
        breaker, now = shared.known(), shared.replica.now()
        own = breaker.own
        if own is not None and own.until and not (own.until > now and breaker.is_open_locally(now)):
            return None
        until = own.until if own is not None else 0
        return until if until != shared.replica.told.get(shared.name, 0) else None

    async def _isolate(self, shared: SharedBreaker, store: Store, reason: str) -> None:
        until, told, own = self._news(shared), shared.replica.told, shared.known().own
        if until is None:
            return
        service_type, name = shared.key
        if own is not None and until:
            again = name in told
            reason = "its trial failed" if again else f"{own.failures} failures in a row of its own"
        await self._desired.announce(store, [service_type])
        length = max(0, until - shared.replica.now())
        reply = await store.breakers.isolate(service_type, name, length, reason)
        told.pop(name, None)
        if until and reply.verdict is ReplyCode.CHANGED:
            told[name] = until
