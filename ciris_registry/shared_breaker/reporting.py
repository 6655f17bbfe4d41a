"""How calls of a provider ended, as its breaker is told.

Owns which way an outcome goes: counted with other successes, reported in order, or, while Redis is
away, noted among what is learned meanwhile. It refuses to judge how a call ended, and to ask for
anything: what an outcome settles was had before.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import UNTRACKED, CircuitState, Outcome
from ciris_registry.errors import IndeterminateWriteError, StoreUnavailableError

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker import BreakerState
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.local_trip import LocalTrips
    from ciris_registry.shared_breaker.success_batches import SuccessBatch
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Store

_log = logging.getLogger(__name__)


class Reporting:
    """What this process reports of calls."""

    def __init__(self, trials: LocalTrips, writes: BreakerWrites, parts: Parts) -> None:
        self._trials = trials
        self._writes = writes
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._write_queue = parts.write_queue
        self._permits = parts.permits
        self._successes = parts.successes
        self._one_by_one = parts.exact

    # Successes that may wait for others

    def count_success(self, shared: SharedBreaker, generation: int | None = None) -> bool:
        """Count a success of a closed breaker, to be told together with others.

        ``generation`` is the one that let the call through, if that is known. False if it has to be
        told by itself: then nothing was counted.
        """
        breaker = shared.known()
        if (
            breaker.state is not CircuitState.CLOSED
            or self._one_by_one
            or breaker.own is not None
            or not self._connectivity.ok
            or (generation is not None and generation != breaker.generation)
        ):
            return False
        self._successes.count(shared.key, breaker.generation)
        if breaker.consecutive_failures or shared.replica.alerts:
            self._end_streak(shared)
        return True

    def _end_streak(self, shared: SharedBreaker) -> None:
        """A success while a streak runs, or may run: the fleet has to know at once."""
        if shared.known().consecutive_failures:
            shared.apply_optimistically(_without_streak)
        elif not shared.replica.alerted(shared.name):
            return
        self._successes.flush_now()

    def unreported(self, shared: SharedBreaker) -> int:
        """How many successes are counted here that nobody has been told of."""
        return self._successes.number(shared.key)

    def learn(self, shared: SharedBreaker, counted: SuccessBatch) -> None:
        """Successes that Redis has not been told of, and will be offered when it is back."""
        shared.learned().note("success", counted.number, counted.newest)

    # One that settles what this process was admitted with, if anything

    def succeeded(self, shared: SharedBreaker) -> None:
        """A call succeeded, and nothing is known of how it was admitted."""
        if shared.replica.breaker(shared.name) is None:
            shared.replica.warn_if_unknown(shared.name)
        if self._holds_permit(shared) or not self.count_success(shared):
            self.record(shared, "success")

    def _holds_permit(self, shared: SharedBreaker) -> bool:
        """Whether the next outcome settles a permit."""
        permits = self._permits
        # Most of the time nothing is held of anybody, and this is asked for each success.
        return bool(permits.held) and permits.holds(*shared.key, shared.replica.now())

    def record(self, shared: SharedBreaker, outcome: Outcome) -> None:
        """Report an outcome: seen here at once, written in order."""
        claimed, generation = self._claim(shared)
        process = self._session.process
        permit = self._trials.count(shared, outcome, claimed, generation)
        learned = None if self._connectivity.ok else shared.learned()
        shared.apply_optimistically(
            lambda breaker, now: breaker.record(now, outcome, permit, generation, by=process)
        )
        if learned is not None:
            learned.note(outcome)
            return
        earlier = self._successes.take(shared.key)
        self._write_queue.put(
            f"an outcome of {shared.service_type} {shared.name}",
            lambda store: self._writes.settle(shared, store, outcome, permit, generation, earlier),
            repeatable=False,
            away=lambda: self._note(shared, outcome, earlier),
        )

    async def arecord(self, shared: SharedBreaker, outcome: Outcome) -> None:
        """Report an outcome and wait for it, as ``report`` does."""
        permit, generation = self._claim(shared)
        await self.report(shared, outcome, permit, generation, in_order=True)

    def _claim(self, shared: SharedBreaker) -> tuple[str, int | None]:
        """What the next outcome settles: a permit, or what ``is_available`` said, or nothing."""
        shared.replica.warn_if_unknown(shared.name)
        permit = self._permits.take(*shared.key, shared.replica.now())
        known = shared.known()
        if not permit and shared.was_available():
            return UNTRACKED, known.generation
        return permit, None

    def _note(self, shared: SharedBreaker, outcome: Outcome, earlier: SuccessBatch | None) -> None:
        if earlier is not None:
            self.learn(shared, earlier)
        shared.learned().note(outcome)

    # One that settles this permit

    async def report(
        self,
        shared: SharedBreaker,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
        *,
        in_order: bool = False,
    ) -> None:
        """Report an outcome and wait for it as long as a resolve may wait for Redis.

        Nobody who stops waiting, for whatever reason, stops the report.
        """
        store, arrived = await self._session.store(), False
        process = self._session.process
        sent = self._trials.count(shared, outcome, permit, generation)
        try:
            if self._connectivity.ok:
                arriving = self._arrives(
                    shared, store, outcome, sent, generation, in_order=in_order
                )
                arrived = await self._connectivity.attentively(self._write_queue.send(arriving))
            else:
                shared.learned().note(outcome)
        except StoreUnavailableError:
            pass  # it goes on, and is noted if it fails
        finally:
            if not arrived:
                shared.apply_optimistically(
                    lambda breaker, now: breaker.record(now, outcome, sent, generation, by=process)
                )

    async def _arrives(
        self,
        shared: SharedBreaker,
        store: Store,
        outcome: Outcome,
        permit: str,
        generation: int | None,
        *,
        in_order: bool,
    ) -> bool:
        """Whether Redis took an outcome; where it did not, it is offered when Redis is back.

        Unless Redis may have it: one that is lost is better than one that is counted twice.
        """
        known = shared.told_generation()
        try:
            if in_order:
                await self._writes.sent_before()
            self._connectivity.check()
            await self._writes.settle(shared, store, outcome, permit, generation)
        except IndeterminateWriteError as error:
            self._connectivity.doubt(error)
            _log.info("one %s of %s may not be counted: %s", outcome, shared.name, error)
            return False
        except StoreUnavailableError as error:
            self._connectivity.doubt(error)
            shared.learned(known).note(outcome)
            return False
        return True


def _without_streak(breaker: BreakerState, _now: int) -> None:
    breaker.consecutive_failures = breaker.streak_started_at = 0
