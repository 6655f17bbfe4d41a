"""One breaker of the fleet as this process knows it, and the successes that it counts by itself.

Reads the replica and applies expected changes to it. Does not talk to Redis, and does not
decide what becomes of a call.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ciris_registry.cache import ExpectedBreaker
from ciris_registry.circuit_breaker import BreakerState, CircuitState, after_outcome, held
from ciris_registry.masking import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache import DesiredState, Replica
    from ciris_registry.circuit_breaker import CircuitBreakerConfig, Outcome
    from ciris_registry.shared_breaker.offline_outcomes import OfflineCounts, OfflineOutcomes
    from ciris_registry.shared_breaker.success_batches import SuccessBatches

_R = TypeVar("_R")


class SharedBreaker:
    """The shared breaker of one provider of one service type.

    ``in_flight`` counts the calls of this process that are running; ``elsewhere`` those of other
    processes as the last slot reply reported them, valid until ``elsewhere_until``, a monotonic
    time. ``last_error`` is the last failure of a guarded call of this process, in words. ``sent``
    counts successes that were sent and not answered yet.
    """

    def __init__(
        self,
        name: str,
        replica: Replica,
        desired: DesiredState,
        offline: OfflineOutcomes,
        batches: SuccessBatches,
    ) -> None:
        self.name = name
        self.service_type = replica.service_type
        self.key = (replica.service_type, name)
        self.replica = replica
        self._desired = desired
        self._offline = offline
        self._batches = batches
        self.in_flight = 0
        self.last_error = ""
        self.elsewhere, self.elsewhere_until = 0, 0.0
        self.sent = 0
        # Successes that Redis has counted since it reported this state.
        self._counted_since: BreakerState | None = None
        self._counted = 0

    # Questions

    @property
    def config(self) -> CircuitBreakerConfig:
        """The settings, as far as this process knows them."""
        return self.known.config

    @property
    def known(self) -> BreakerState:
        """Its state in the replica; a fresh one, which is not put there, if it has none."""
        known = self.replica.snapshot.breakers.get(self.name)
        return known if known is not None else self._fresh()

    @property
    def generation(self) -> int | None:
        """The generation as last seen; None if this process knows nothing of the breaker."""
        known = self.replica.snapshot.breakers.get(self.name)
        return known.generation if known is not None else None

    def ask_availability(self) -> bool:
        """Whether a call would be admitted, as far as this process knows.

        If the replica has the breaker, a yes is noted there: the next outcome may be a probe's.
        """
        breaker = self.known
        available = breaker.refusal(self.replica.now()) is None
        if available and self.name in self.replica.snapshot.breakers:
            self.replica.asked[self.name] = _opening(breaker)
        return available

    def was_available(self) -> bool:
        """Whether ``is_available`` has said yes since the last opening, shared or local."""
        return self.replica.asked.get(self.name) == _opening(self.known)

    def authoritative_generation(self) -> int:
        """The shared generation as Redis last reported it, without expected changes."""
        return (self.replica.authoritative(self.name) or self.known).generation

    # Changes

    def ensure_state(self) -> BreakerState:
        """Its state in the replica, which gets a fresh one if it has none.

        A reply of Redis changes only breakers that are in the replica.
        """
        known = self.replica.snapshot.breakers.get(self.name)
        if known is None:
            known = self._fresh()
            self.replica.apply(ExpectedBreaker(self.name, known))
        return known

    def apply_optimistically(self, change: Callable[[BreakerState, int], _R]) -> _R:
        """Apply the change that Redis is expected to make, so that the next line sees it.

        An opening keeps the local streak; a closing or an override ends it.
        """
        known = self.known
        breaker = known.copy()
        answer = change(breaker, self.replica.now())
        if breaker.generation != known.generation and breaker.state is CircuitState.CLOSED:
            breaker.local = None
        self.replica.apply(ExpectedBreaker(self.name, breaker))
        return answer

    def count_locally(self, outcome: Outcome, permit: str, generation: int | None) -> bool:
        """Count an outcome in the local streak; whether that ended the streak."""
        known = self.known
        if known.state is not CircuitState.CLOSED:
            return False
        now = self.replica.now()
        if known.override and known.override_in_force(now):
            return False
        local = after_outcome(
            known.local,
            known.config,
            now,
            outcome,
            permit,
            changed_at=known.changed_at,
            current=generation is None or generation == known.generation,
        )
        if local is known.local:
            return False
        self.replica.apply(ExpectedBreaker(self.name, replace(known, local=local)))
        return local is None

    @property
    def is_closed(self) -> bool:
        """Whether the shared state is closed, as far as this process knows."""
        return self.known.state is CircuitState.CLOSED

    def hold_locally(self, code: str) -> None:
        """Refuse the provider in this process: ``code`` says why it does not serve this program."""
        known, now = self.ensure_state(), self.replica.now()
        if known.state is CircuitState.CLOSED and not known.override_in_force(now):
            local = held(known.local, known.config, now, code, changed_at=known.changed_at)
            self.replica.apply(ExpectedBreaker(self.name, replace(known, local=local)))

    def offline(self, generation: int | None = None) -> OfflineCounts:
        """What this process counted of it while Redis is away.

        The first outcome of an outage notes the shared ``generation``, or the one last reported.
        """
        since = self.authoritative_generation() if generation is None else generation
        return self._offline.of(self.key, since)

    # Successes that are reported in batches

    def count_success(self, generation: int | None = None) -> bool:
        """Count a success of the closed breaker, to be reported in a batch.

        ``generation`` is the one that admitted the call, if it is known. False if the success has
        to be reported by itself; then nothing was counted.
        """
        known = self.replica.snapshot.breakers.get(self.name)
        if known is None:
            known = self.ensure_state()
        batches = self._batches
        if (
            not batches.accepting
            or known.state is not CircuitState.CLOSED
            or known.local is not None
            or (generation is not None and generation != known.generation)
        ):
            return False
        batch = batches.waiting.get(self.key)
        if batch is None:
            batch = batches.begin(self.key)
        # The newest success decides whether the batch ends a streak.
        batch.generation = known.generation
        batch.number += 1
        batch.newest = time.monotonic()
        if known.consecutive_failures or self.replica.alerts:
            self._end_streak(known)
        return True

    def needs_no_answer(self, generation: int | None) -> bool:
        """Whether nothing depends on how Redis counts a success that this generation admitted."""
        known = self.replica.snapshot.breakers.get(self.name)
        return (
            known is not None
            and known.state is CircuitState.CLOSED
            and known.local is None
            and not known.consecutive_failures
            and generation in {None, known.generation}
            and self.key not in self._batches.waiting
            # Else its answer says that a local trip has ended.
            and self.name not in self.replica.reported_trips
        )

    def note_counted(self) -> None:
        """Redis has counted a success that was sent, and changed nothing else."""
        reported = self.replica.authoritative(self.name)
        if reported is not self._counted_since:
            self._counted_since, self._counted = reported, 0
        self._counted += 1

    def unreported(self) -> int:
        """How many successes of this process are not in the state that Redis last reported."""
        is_newest = self._counted_since is self.replica.authoritative(self.name)
        counted = self._counted if is_newest else 0
        return self.sent + counted + self._batches.number(self.key)

    def _fresh(self) -> BreakerState:
        return BreakerState(self._desired.config_for(self.service_type, self.name)[0])

    def _end_streak(self, known: BreakerState) -> None:
        """A success while a streak runs, or may run: the fleet has to know at once."""
        if known.consecutive_failures:
            self.apply_optimistically(_without_streak)
        elif not self.replica.alerts.drop_old(self.name):
            return
        self._batches.flush_now()


def _opening(breaker: BreakerState) -> tuple[int, int]:
    """Identifies an opening: the shared one, and the local one."""
    return breaker.opened_at, breaker.local.until if breaker.local is not None else 0


def _without_streak(breaker: BreakerState, _now: int) -> None:
    breaker.consecutive_failures = breaker.streak_started_at = 0


def in_words(error: BaseException) -> str:
    """An error as it is shown, without secrets, whatever the program made of its ``repr``."""
    try:
        return mask_secrets(repr(error))
    except Exception:  # noqa: BLE001 # the call has to be settled in any case
        return type(error).__name__
