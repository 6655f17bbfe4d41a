"""Reporting outcomes of calls to their breakers.

Decides which way an outcome goes: batched with other successes, sent at once and waited for or not,
written in order, or counted offline while Redis is away. The classifier decides what an outcome
means.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from ciris_registry.circuit_breaker import UNTRACKED, Outcome
from ciris_registry.errors import (
    IndeterminateWriteError,
    RegistryError,
    StoreError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    import asyncio

    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.permits import HeldPermits
    from ciris_registry.shared_breaker.success_batches import SuccessBatch, SuccessBatches
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import PackedCall, Session, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)


class Reporting:
    """The outcomes that this process reports."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        permits: HeldPermits,
        batches: SuccessBatches,
        writes: BreakerWrites,
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._permits = permits
        self._batches = batches
        self._writes = writes

    # Outcomes of calls whose admission is not known

    def succeeded(self, breaker: SharedBreaker) -> None:
        """A call succeeded, and how it was admitted is not known."""
        if breaker.replica.breaker(breaker.name) is None:
            breaker.replica.warn_if_unknown(breaker.name)
        if self._settles_permit(breaker) or not breaker.count_success():
            self.record(breaker, "success")

    def _settles_permit(self, breaker: SharedBreaker) -> bool:
        """Whether the next outcome settles a permit."""
        permits = self._permits
        # This is asked for each success, and most of the time no permit at all is held.
        return bool(permits.held) and permits.drop_ended(*breaker.key, breaker.replica.now())

    def record(self, breaker: SharedBreaker, outcome: Outcome) -> None:
        """Report an outcome: seen in this process at once, written in order."""
        claimed, generation = self._claim(breaker)
        permit = self._count_locally(breaker, outcome, claimed, generation)
        offline = None if self._connectivity.connected else breaker.offline()
        self._expect(breaker, outcome, permit, generation)
        if offline is not None:
            offline.note(outcome)
            return
        earlier = self._batches.waiting.pop(breaker.key, None)
        self._write_queue.put(
            f"an outcome of {breaker.service_type} {breaker.name}",
            lambda store: self._writes.settle(breaker, store, outcome, permit, generation, earlier),
            repeatable=False,
            away=lambda: self._note_offline(breaker, outcome, earlier),
        )

    async def arecord(self, breaker: SharedBreaker, outcome: Outcome) -> None:
        """Report an outcome and wait for it, as ``report`` does."""
        permit, generation = self._claim(breaker)
        await self.report(breaker, outcome, permit, generation)

    def _claim(self, breaker: SharedBreaker) -> tuple[str, int | None]:
        """What the next outcome settles: a permit, an untracked probe, or nothing."""
        breaker.replica.warn_if_unknown(breaker.name)
        permit = self._permits.take(*breaker.key, breaker.replica.now())
        known = breaker.known
        if not permit and breaker.was_available():
            return UNTRACKED, known.generation
        return permit, None

    def note_offline(self, breaker: SharedBreaker, batch: SuccessBatch) -> None:
        """Successes that were not reported: they are merged when Redis is back."""
        breaker.offline().note("success", batch.number, batch.newest)

    def _note_offline(
        self, breaker: SharedBreaker, outcome: Outcome, earlier: SuccessBatch | None
    ) -> None:
        if earlier is not None:
            self.note_offline(breaker, earlier)
        breaker.offline().note(outcome)

    # Outcomes of attempts, which know what admitted them

    async def report(
        self,
        breaker: SharedBreaker,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
    ) -> None:
        """Report an outcome and wait for it, no longer than a resolve may wait for Redis.

        A caller that stops waiting does not stop the report.
        """
        store, arrived = await self._session.store(), False
        settled = self._count_locally(breaker, outcome, permit, generation)
        try:
            if self._connectivity.connected:
                arriving = self._arrive(breaker, store, outcome, settled, generation)
                arrived = await self._connectivity.while_answering(self._session.send(arriving))
            else:
                breaker.offline().note(outcome)
        except StoreUnavailableError:
            pass  # the report goes on, and is counted offline if it fails
        finally:
            if not arrived:
                self._expect(breaker, outcome, settled, generation)

    async def refused(
        self, breaker: SharedBreaker, code: str, permit: str, generation: int | None
    ) -> None:
        """The provider has refused this program: this process holds it, as a local trip does.

        A probe of the whole fleet that is refused has failed.
        """
        if permit and not breaker.is_closed:
            await self.report(breaker, "failure", permit, generation)
            return
        breaker.hold_locally(code)
        self._writes.local_trips.report(breaker)

    def send_success(self, breaker: SharedBreaker, generation: int | None) -> bool:
        """Send the success of a call at once, without waiting for the reply.

        False, if a reply is needed or it cannot be sent now: ``report`` must be awaited then.
        ``flush`` and ``aclose`` wait for the reply.
        """
        store = self._session.ready_store()
        if (
            store is None
            or not self._connectivity.connected
            or self._write_queue.pending
            or not breaker.needs_no_answer(generation)
        ):
            return False
        # No coroutine and no task: together they would take longer than all the rest.
        call, posted = store.breakers.post_success(*breaker.key, generation)
        breaker.sent += 1
        self._session.sending.add(posted)
        posted.add_done_callback(partial(self._answered, breaker, store, generation, call))
        return True

    def _answered(
        self,
        breaker: SharedBreaker,
        store: Store,
        generation: int | None,
        call: PackedCall,
        posted: asyncio.Future[Any],
    ) -> None:
        """A success that was sent is answered, or its connection is lost."""
        breaker.sent -= 1
        self._session.sending.discard(posted)
        if store.breakers.is_counted(call, posted):
            breaker.note_counted()
        elif self._session.running():
            self._session.send(self._examined(breaker, store, generation, call, posted))

    async def _examined(
        self,
        breaker: SharedBreaker,
        store: Store,
        generation: int | None,
        call: PackedCall,
        posted: asyncio.Future[Any],
    ) -> None:
        """See to a success that Redis did not simply count."""
        arrived = False
        try:
            arrived = await self._arrive(breaker, store, "success", "", generation, (call, posted))
        except RegistryError as error:
            _log.warning("one success of %s is not counted: %s", breaker.name, error)
        finally:
            if not arrived:
                self._expect(breaker, "success", "", generation)

    async def _arrive(
        self,
        breaker: SharedBreaker,
        store: Store,
        outcome: Outcome,
        permit: str,
        generation: int | None,
        posted: tuple[PackedCall, asyncio.Future[Any]] | None = None,
    ) -> bool:
        """Whether Redis took an outcome; if not, it is counted offline and merged later.

        If Redis may have it, as it may have one that was ``posted``, it is not counted again: one
        that is lost is better than one that counts twice.
        """
        known = breaker.authoritative_generation()
        earlier: SuccessBatch | None = None
        try:
            if posted is not None and await self._writes.finish(breaker, store, *posted):
                return True
            if self._write_queue.pending:
                await self._writes.flush_before()
            self._connectivity.require()
            # The successes of this breaker that happened before go along, in order.
            earlier = self._batches.waiting.pop(breaker.key, None)
            await self._writes.settle(breaker, store, outcome, permit, generation, earlier)
        except IndeterminateWriteError as error:
            self._connectivity.suspect(error)
            _log.info("one %s of %s may not be counted: %s", outcome, breaker.name, error)
            return False
        except StoreUnavailableError as error:
            self._connectivity.suspect(error)
            if earlier is not None:
                breaker.offline(known).note("success", earlier.number, earlier.newest)
            breaker.offline(known).note(outcome)
            return False
        except StoreError as error:
            _log.warning("one %s of %s is not counted: %s", outcome, breaker.name, error)
            return False
        return True

    # Both

    def _count_locally(
        self, breaker: SharedBreaker, outcome: Outcome, permit: str, generation: int | None
    ) -> str:
        """Count an outcome in the local streak; the permit that Redis may know of."""
        local = breaker.known.local
        if breaker.count_locally(outcome, permit, generation):
            self._writes.local_trips.report(breaker, "its trial succeeded")
        return "" if local is not None and permit == local.trial else permit

    def _expect(
        self, breaker: SharedBreaker, outcome: Outcome, permit: str, generation: int | None
    ) -> None:
        process = self._session.process
        breaker.apply_optimistically(
            lambda state, now: state.record(now, outcome, permit, generation, actor=process)
        )
