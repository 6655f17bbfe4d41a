"""What this process writes to a breaker: one script call each, and the use of its reply.

Restores a breaker that Redis turns out to have lost, and applies each reply to the replica. Does
not decide what is written, nor what happens to it while Redis is away.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

from ciris_registry.cache import BreakerReport, is_decided, restore_breakers
from ciris_registry.circuit_breaker import Admission, CircuitState, Refusal, ReplyCode
from ciris_registry.errors import RegistryError, StoreUnavailableError
from ciris_registry.store import BatchedSuccesses, OfflineMerge

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from ciris_registry.cache import DesiredState
    from ciris_registry.circuit_breaker import Outcome
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.local_trip import LocalTrips
    from ciris_registry.shared_breaker.offline_outcomes import OfflineCounts
    from ciris_registry.shared_breaker.success_batches import SuccessBatch, SuccessBatches
    from ciris_registry.store import BreakerReply, PackedCall, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)


class BreakerWrites:
    """The writes of this process to breakers; ``lease`` is in milliseconds.

    Methods that take a store raise StoreUnavailableError if Redis is away.
    """

    def __init__(
        self,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        batches: SuccessBatches,
        desired: DesiredState,
        local_trips: LocalTrips,
        lease: int,
    ) -> None:
        self.local_trips = local_trips
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._batches = batches
        self._desired = desired
        self._lease = lease

    # Their order

    def later(
        self, breaker: SharedBreaker, what: str, write: Callable[[Store], Awaitable[object]]
    ) -> None:
        """Put a write into the queue; ``what`` names it in the log."""
        self._write_queue.put(f"{what} of {breaker.service_type} {breaker.name}", write)

    def release(self, breaker: SharedBreaker, permit: str) -> None:
        """Let a permit be free again, in the background."""
        self.later(
            breaker,
            "the release of a permit",
            lambda store: self.settle(breaker, store, "released", permit),
        )

    async def flush(self) -> None:
        """Wait until earlier reports, of any breaker, have reached Redis."""
        await self._batches.flush()
        await self._write_queue.flush()

    async def flush_before(self) -> None:
        """Let earlier reports go first; if they fail, that is not this write's failure."""
        try:
            await self.flush()
        except RegistryError as error:
            if isinstance(error, StoreUnavailableError):
                self._connectivity.suspect(error)

    # One script call each

    async def acquire(self, breaker: SharedBreaker, store: Store, permit: str) -> Admission:
        """Ask for admission with a permit of this process's making.

        The permit's time runs from the request, because the reply may arrive late. One that arrives
        after the permit or the lease has ended is a refusal.
        """
        breaker.ensure_state()
        service_type, name = breaker.key
        asked = time.monotonic()
        admission, reply = await store.breakers.acquire(service_type, name, permit)
        if admission.code is ReplyCode.MISSING:
            await self.restore(breaker, store)
            asked = time.monotonic()
            admission, reply = await store.breakers.acquire(service_type, name, permit)
        if admission.code is not ReplyCode.PERMIT:
            self._apply(breaker, reply, asked)
            return admission
        late = math.ceil((time.monotonic() - asked) * 1000)
        if late >= min(admission.deadline - reply.now, self._lease):
            self._apply(breaker, reply, asked)
            self.release(breaker, permit)
            return Admission(ReplyCode.REFUSED, Refusal("half_open", 0))
        self._apply(breaker, reply, asked, (permit, admission.deadline))
        return admission._replace(deadline=admission.deadline - late)

    async def settle(
        self,
        breaker: SharedBreaker,
        store: Store,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
        earlier: SuccessBatch | None = None,
    ) -> None:
        """Record one outcome, with the successes before it.

        If the connection breaks on the way, an outcome without a permit is not sent again: one
        that is lost is better than one that counts twice.
        """
        name = breaker.name
        batch = (
            BatchedSuccesses(name, earlier.number, earlier.age(), earlier.generation)
            if earlier is not None
            else None
        )
        await self._do(
            breaker,
            store,
            lambda: store.breakers.record(*breaker.key, outcome, permit, generation, batch=batch),
            settled=permit,
        )

    async def finish(
        self, breaker: SharedBreaker, store: Store, call: PackedCall, posted: asyncio.Future[Any]
    ) -> bool:
        """See to a success that was posted; False if Redis has no such breaker."""
        code = await store.breakers.finish_success(call, posted)
        if code is ReplyCode.OPENED:
            _log.info("the breaker of %s %s is open, for the whole fleet", *breaker.key)
        elif code is not ReplyCode.MISSING:
            breaker.note_counted()
        return code is not ReplyCode.MISSING

    async def merge_offline(
        self, breaker: SharedBreaker, store: Store, counts: OfflineCounts
    ) -> None:
        """Merge the outcomes that were counted while Redis was away."""
        known, now = breaker.known, breaker.replica.now()
        merge = OfflineMerge(
            counts.generation,
            counts.successes,
            counts.failures,
            counts.streak,
            known.state is not CircuitState.CLOSED,
            max(0, counts.cools_until - now),
            counts.age(),
            max(0, known.retry_at - now) if known.state is CircuitState.OPEN else 0,
        )
        await self._do(breaker, store, lambda: store.breakers.merge_offline(*breaker.key, merge))

    async def cool_down(
        self, breaker: SharedBreaker, store: Store, length: int, reason: str
    ) -> None:
        """Begin a cooldown in the whole fleet, for ``length`` milliseconds from now."""
        await self._do(
            breaker, store, lambda: store.breakers.cool_down(*breaker.key, length, reason)
        )

    async def override(
        self, breaker: SharedBreaker, store: Store, override: str, reason: str, length: int
    ) -> None:
        """Force it, for ``length`` milliseconds or, where that is 0, until it is cleared."""
        await self._do(
            breaker,
            store,
            lambda: store.breakers.override(*breaker.key, override, reason, "", length),
        )

    async def reset(self, breaker: SharedBreaker, store: Store, reason: str) -> None:
        """Close it and forget its counters."""
        await self._do(breaker, store, lambda: store.breakers.reset(*breaker.key, reason, ""))

    async def restore(self, breaker: SharedBreaker, store: Store) -> None:
        """Redis has lost the breaker: put back its settings, and the state that is known of it."""
        replica, (kind, name) = breaker.replica, breaker.key
        known = replica.authoritative(name)
        if known is not None and is_decided(known):
            restored = await restore_breakers(
                store, self._desired, replica.authoritative_snapshot(), [name], replica.now()
            )
        else:
            restored = []
        if not restored:  # there is nothing to put back, or it was forgotten on purpose
            await self._desired.configure(store, kind, name)

    async def _do(
        self,
        breaker: SharedBreaker,
        store: Store,
        call: Callable[[], Awaitable[BreakerReply]],
        settled: str = "",
    ) -> None:
        breaker.ensure_state()
        asked = time.monotonic()
        reply = await call()
        if reply.code is ReplyCode.MISSING:
            await self.restore(breaker, store)
            asked = time.monotonic()
            reply = await call()
        self._apply(breaker, reply, asked, settled=settled)
        local = breaker.known.local
        if breaker.name in breaker.replica.reported_trips or (local is not None and local.until):
            self.local_trips.report(breaker)
        if reply.code is ReplyCode.OPENED:
            _log.info(
                "the breaker of %s %s is open, for the whole fleet%s",
                *breaker.key,
                f"; its last failure here was {breaker.last_error}" if breaker.last_error else "",
            )
        elif reply.code is ReplyCode.CLOSED:
            _log.info("the breaker of %s %s is closed again", *breaker.key)

    def _apply(
        self,
        breaker: SharedBreaker,
        reply: BreakerReply,
        asked: float,
        permit: tuple[str, int] | None = None,
        settled: str = "",
    ) -> None:
        replica, name = breaker.replica, breaker.name
        if reply.code is not ReplyCode.MISSING and name in replica.snapshot.breakers:
            replica.note_clock(reply.now, asked)
            replica.apply(BreakerReport(name, reply.now, reply.fields, permit, settled))
