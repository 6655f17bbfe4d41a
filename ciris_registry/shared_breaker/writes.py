"""What is written of a breaker: in which order, and what is made good where Redis has lost it.

Owns one script call for each thing there is to say, and takes over what it answers. It refuses to
decide what there is to say, and what becomes of it where Redis is away.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import Admission, CircuitState, Refusal, ReplyCode
from ciris_registry.errors import RegistryError, StoreUnavailableError
from ciris_registry.store import Learned, remembered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.circuit_breaker import Outcome
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.local_trip import LocalTrips
    from ciris_registry.shared_breaker.offline_outcomes import OfflineCounts
    from ciris_registry.shared_breaker.success_batches import SuccessBatch
    from ciris_registry.store import BreakerReply, Store


_log = logging.getLogger(__name__)


class BreakerWrites:
    """The writes of this process to breakers.

    Those that are given a store raise StoreUnavailableError if Redis is away.
    """

    def __init__(self, trials: LocalTrips, parts: Parts) -> None:
        self._trials = trials
        self._connectivity = parts.connectivity
        self._lease = round(parts.settings.lease * 1000)
        self._write_queue = parts.write_queue
        self._desired = parts.desired
        self._successes = parts.successes

    # Their order

    def later(
        self, shared: SharedBreaker, what: str, write: Callable[[Store], Awaitable[object]]
    ) -> None:
        """Write in the background, behind what was left there before; ``what`` is for the log."""
        self._write_queue.put(f"{what} of {shared.service_type} {shared.name}", write)

    def give_back(self, shared: SharedBreaker, permit: str) -> None:
        """Let the permit be free again, in the background."""
        self.later(
            shared,
            "the return of a permit",
            lambda store: self.settle(shared, store, "released", permit),
        )

    async def flush(self) -> None:
        """Wait until what was reported before, of any breaker, has reached Redis."""
        await self._successes.flush()
        await self._write_queue.flush()

    async def sent_before(self) -> None:
        """What was reported before goes first; what becomes of it is not this one's business."""
        try:
            await self.flush()
        except RegistryError as error:
            if isinstance(error, StoreUnavailableError):
                self._connectivity.doubt(error)

    # One script call each

    async def acquire(self, shared: SharedBreaker, store: Store, permit: str) -> Admission:
        """Ask with a permit of one's own making.

        It lasts from when it was asked for: the answer may have lain about while this process was
        stopped, and the permit, or the lease that it rests on, have ended meanwhile.
        """
        service_type, name = shared.key
        asked = time.monotonic()
        admission, reply = await store.breakers.acquire(service_type, name, permit)
        if admission.verdict is ReplyCode.MISSING:
            await self.mend(shared, store)
            asked = time.monotonic()
            admission, reply = await store.breakers.acquire(service_type, name, permit)
        if admission.verdict is not ReplyCode.PERMIT:
            shared.replica.learn(name, reply)
            return admission
        late = math.ceil((time.monotonic() - asked) * 1000)
        if late >= min(admission.deadline - reply.now, self._lease):
            shared.replica.learn(name, reply)
            self.give_back(shared, permit)
            return Admission(ReplyCode.REFUSED, Refusal("half_open", 0))
        shared.replica.learn(name, reply, (permit, admission.deadline))
        return admission._replace(deadline=admission.deadline - late)

    async def settle(
        self,
        shared: SharedBreaker,
        store: Store,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
        earlier: SuccessBatch | None = None,
    ) -> None:
        """Record one outcome in Redis, with successes before it, and take over what it answers.

        If the connection breaks on the way, an outcome without a permit is not sent again: one
        that is lost is better than one that is counted twice.
        """
        number, age = (earlier.number, earlier.age()) if earlier is not None else (0, 0)
        await self._do(
            shared,
            store,
            lambda: store.breakers.record(
                *shared.key,
                outcome,
                permit,
                generation,
                successes=number,
                age=age,
            ),
        )

    async def merge(self, shared: SharedBreaker, store: Store, counts: OfflineCounts) -> None:
        """Offer Redis what was learned while it was away."""
        known, now = shared.known(), shared.replica.now()
        learned = Learned(
            counts.generation,
            counts.successes,
            counts.failures,
            counts.streak,
            known.state is not CircuitState.CLOSED,
            max(0, counts.cools_until - now),
            counts.age(),
            max(0, known.retry_at - now) if known.state is CircuitState.OPEN else 0,
        )
        await self._do(shared, store, lambda: store.breakers.merge(*shared.key, learned))

    async def cool_down(
        self, shared: SharedBreaker, store: Store, length: int, reason: str
    ) -> None:
        """Have the fleet leave the provider alone for ``length`` milliseconds from now."""
        await self._do(shared, store, lambda: store.breakers.cool_down(*shared.key, length, reason))

    async def override(
        self, shared: SharedBreaker, store: Store, override: str, reason: str, length: int
    ) -> None:
        """Force it, for ``length`` milliseconds or, where that is 0, until it is cleared."""
        await self._do(
            shared,
            store,
            lambda: store.breakers.override(*shared.key, override, reason, "", length),
        )

    async def reset(self, shared: SharedBreaker, store: Store, reason: str) -> None:
        """Close it and forget what it counted."""
        await self._do(shared, store, lambda: store.breakers.reset(*shared.key, reason, ""))

    async def mend(self, shared: SharedBreaker, store: Store) -> None:
        """Redis has no such breaker: give it its settings, and what is still known of it."""
        service_type, name = shared.key
        await self._desired.configure(store, service_type, name)
        known = shared.replica.authoritative(name)
        if known is not None and (known.changed_at or known.cooldown_until):
            seen_at = shared.replica.now()
            await store.breakers.restore(service_type, name, remembered(known), seen_at)

    async def _do(
        self, shared: SharedBreaker, store: Store, call: Callable[[], Awaitable[BreakerReply]]
    ) -> None:
        reply = await call()
        if reply.verdict is ReplyCode.MISSING:
            await self.mend(shared, store)
            reply = await call()
        shared.replica.learn(shared.name, reply)
        self._trials.tell(shared)
        if reply.verdict is ReplyCode.OPENED:
            _log.info(
                "the breaker of %s %s is open, for the whole fleet%s",
                *shared.key,
                f"; it failed here last with {shared.last_error}" if shared.last_error else "",
            )
        elif reply.verdict is ReplyCode.CLOSED:
            _log.info("the breaker of %s %s is closed again", *shared.key)
