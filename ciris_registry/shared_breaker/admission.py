"""Asking a breaker for admission, and giving back what was got.

Owns who is asked: Redis, or the in-process breaker while Redis is known to be away. It refuses to
settle what was admitted: how a call ended is an outcome.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import Admission, Refusal, ReplyCode
from ciris_registry.errors import StoreUnavailableError
from ciris_registry.shared_breaker.permits import Held

if TYPE_CHECKING:
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.local_trip import LocalTrips
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Store


class BreakerAdmission:
    """What this process is admitted to."""

    def __init__(self, trials: LocalTrips, writes: BreakerWrites, parts: Parts) -> None:
        self._trials = trials
        self._writes = writes
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._write_queue = parts.write_queue
        self._permits = parts.permits

    async def admit(self, shared: SharedBreaker, permit: str) -> Admission:
        """Ask for admission, or the in-process breaker while Redis is known to be away.

        Where Redis was there a moment ago and has not answered, nobody knows: it is refused.
        What is open in this process only, and its trials, are nobody else's business.
        """
        try:
            store = await self._session.store()
            if shared.known().is_open_locally(shared.replica.now()):
                return self._acquire_here(shared, permit)
            return await self._connectivity.promptly(self._asked(shared, store, permit))
        except StoreUnavailableError:
            breaker, now = shared.known(), shared.replica.now()
            if (
                self._connectivity.state != "lost"
                and breaker.needs_permit(now)
                and not breaker.is_open_locally(now)
            ):
                return Admission(ReplyCode.REFUSED, breaker.refusal(now) or Refusal("half_open", 0))
            return self._acquire_here(shared, permit)

    async def hold(self, shared: SharedBreaker) -> Refusal | None:
        """Ask for admission; why it is refused, if it is.

        Where that is a probe, the permit is this process's until its next outcome for the provider.
        """
        admission = await self.admit(shared, self._permits.new())
        if admission.verdict is ReplyCode.PERMIT:
            held = Held(admission.permit, admission.deadline)
            self._permits.keep(*shared.key, held, shared.replica.now())
        return admission.refusal

    def give_back(self, shared: SharedBreaker, permit: str) -> None:
        """Neither success nor failure: the permit is free again."""
        sent = self._trials.count(shared, "released", permit, None)
        if permit and not sent:
            return  # nobody else knows of it
        shared.apply_optimistically(lambda breaker, now: breaker.record(now, "released", permit))
        self._writes.give_back(shared, permit)

    def _acquire_here(self, shared: SharedBreaker, permit: str) -> Admission:
        return shared.apply_optimistically(lambda breaker, now: breaker.acquire(now, permit))

    async def _asked(self, shared: SharedBreaker, store: Store, permit: str) -> Admission:
        """The answer of Redis; whoever does not wait for it gives the permit back behind it."""
        asking = self._write_queue.send(self._writes.acquire(shared, store, permit))
        try:
            return await asyncio.shield(asking)
        except BaseException:
            asking.add_done_callback(lambda _: self.give_back(shared, permit))
            raise
