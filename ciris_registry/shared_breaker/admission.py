"""Asking a shared breaker for admission, and releasing what was granted.

Decides which breaker is asked: the fleet's in Redis, or this process's own while Redis is lost. How
an admitted call ends is an outcome, and settled elsewhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import Admission, Refusal, ReplyCode
from ciris_registry.errors import StoreError, StoreUnavailableError
from ciris_registry.shared_breaker.permits import HeldPermit

if TYPE_CHECKING:
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.permits import HeldPermits
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Session, Store
    from ciris_registry.store.connection import Connectivity


class BreakerAdmission:
    """The admissions of this process."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        permits: HeldPermits,
        writes: BreakerWrites,
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._permits = permits
        self._writes = writes

    async def admit(self, breaker: SharedBreaker, permit: str) -> Admission:
        """Ask for admission; for a probe, with ``permit``.

        While Redis is suspended, a probe is refused: another process may hold the permit. While it
        is lost, this process grants its own. A local trip is always decided in this process.
        """
        try:
            store = await self._session.store()
            if breaker.known.is_open_locally(breaker.replica.now()):
                return self._acquire_locally(breaker, permit)
            return await self._connectivity.within_timeout(self._acquire(breaker, store, permit))
        except StoreUnavailableError:
            known, now = breaker.known, breaker.replica.now()
            if (
                self._connectivity.state != "lost"
                and known.needs_permit(now)
                and not known.is_open_locally(now)
            ):
                return Admission(ReplyCode.REFUSED, known.refusal(now) or Refusal("half_open", 0))
            return self._acquire_locally(breaker, permit)

    async def hold(self, breaker: SharedBreaker) -> Refusal | None:
        """Ask for admission; the refusal, if it is refused.

        For a probe, this process holds the permit until its next outcome for the provider.
        """
        permit = self._permits.new()
        try:
            admission = await self.admit(breaker, permit)
        except StoreError:  # its keys are damaged
            admission = self._acquire_locally(breaker, permit)
        if admission.code is ReplyCode.PERMIT:
            held = HeldPermit(admission.permit, admission.deadline)
            self._permits.keep(*breaker.key, held, breaker.replica.now())
        return admission.refusal

    def release(self, breaker: SharedBreaker, permit: str) -> None:
        """Neither success nor failure: the permit is free again."""
        local = breaker.known.local
        breaker.count_locally("released", permit, None)
        if permit and local is not None and permit == local.trial:
            return  # Redis does not know of it
        breaker.apply_optimistically(lambda state, now: state.record(now, "released", permit))
        self._writes.release(breaker, permit)

    def _acquire_locally(self, breaker: SharedBreaker, permit: str) -> Admission:
        return breaker.apply_optimistically(lambda state, now: state.acquire(now, permit))

    async def _acquire(self, breaker: SharedBreaker, store: Store, permit: str) -> Admission:
        """The answer of Redis; a caller that does not wait for it releases the permit after it."""
        asking = self._session.send(self._writes.acquire(breaker, store, permit))
        try:
            return await asyncio.shield(asking)
        except BaseException:
            asking.add_done_callback(lambda _: self.release(breaker, permit))
            raise
