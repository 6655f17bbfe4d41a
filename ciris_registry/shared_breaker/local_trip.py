"""Local trips: this process alone refuses a provider.

Other processes do not act on a local trip; an event lets operators see it. Reports its beginning
and its end only; ``circuit_breaker`` decides how a local streak goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import ReplyCode

if TYPE_CHECKING:
    from ciris_registry.cache import DesiredState
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.store import Store, WriteQueue


class LocalTrips:
    """Reports local trips of this process."""

    def __init__(self, write_queue: WriteQueue, desired: DesiredState) -> None:
        self._write_queue = write_queue
        self._desired = desired

    def report(self, breaker: SharedBreaker, reason: str = "its own streak has ended") -> None:
        """Report, if it is news, that the breaker is open locally, or is no longer.

        ``reason`` is for the latter.
        """
        if self._news(breaker) is not None:
            self._write_queue.put(
                f"the local trip of {breaker.service_type} {breaker.name}",
                lambda store: self._write(breaker, store, reason),
                repeatable=False,
            )

    def _news(self, breaker: SharedBreaker) -> int | None:
        """Until when the breaker is open locally, 0 if it is not; None if Redis knows that."""
        known, now = breaker.known, breaker.replica.now()
        local = known.local
        if (
            local is not None
            and local.until
            and not (local.until > now and known.is_open_locally(now))
        ):
            return None
        until = local.until if local is not None else 0
        return until if until != breaker.replica.reported_trips.get(breaker.name, 0) else None

    async def _write(self, breaker: SharedBreaker, store: Store, reason: str) -> None:
        reported = breaker.replica.reported_trips
        until, local = self._news(breaker), breaker.known.local
        if until is None:
            return
        service_type, name = breaker.key
        if local is not None and until:
            again = name in reported
            reason = (
                "its trial failed" if again else f"{local.failures} failures in a row of its own"
            )
            reason = f"it is refused there: {local.code}" if local.code else reason
        await self._desired.announce(store, [service_type])
        length = max(0, until - breaker.replica.now())
        reply = await store.breakers.trip_local(service_type, name, length, reason)
        reported.pop(name, None)
        if until and reply.code is ReplyCode.CHANGED:
            reported[name] = until
