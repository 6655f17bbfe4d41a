"""The handle on one shared breaker: what the in-process breaker can do, for the whole fleet.

Plain methods never wait: they act on what this process knows, and the write follows in order.
Those that begin with ``a`` return when Redis has it, with the state after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Literal

from ciris_registry.breaker_config import CircuitBreakerConfig, length_of, length_or_ever
from ciris_registry.breaker_rules import BreakerState
from ciris_registry.breaker_stats import stats_of
from ciris_registry.breaker_words import ASKED, Admission, CircuitState, Outcome, Refusal, Verdict
from ciris_registry.errors import (
    CircuitBreakerError,
    RegistryError,
    StoreUnavailableError,
    UncertainWriteError,
)
from ciris_registry.own_streak import counted
from ciris_registry.permits import Held
from ciris_registry.readback import remembered
from ciris_registry.replies import Learned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.meanwhile import Gathered
    from ciris_registry.mirror import Mirror
    from ciris_registry.parts import Parts
    from ciris_registry.replies import BreakerReply
    from ciris_registry.store import Store
    from ciris_registry.successes import Counted

_log = logging.getLogger(__name__)


class BreakerHandle:
    """The shared breaker of one provider of one service type; see ``CircuitBreaker``."""

    def __init__(self, name: str, mirror: Mirror, parts: Parts) -> None:
        self.name = name
        self.service_type = mirror.service_type
        self._key = (mirror.service_type, name)
        self._mirror = mirror
        self._session = parts.session
        self._link = parts.link
        self._outbox = parts.outbox
        self._membership = parts.membership
        self._permits = parts.permits
        self._meanwhile = parts.meanwhile
        self._successes = parts.successes
        self._one_by_one = parts.exact
        self.in_flight = 0
        self.elsewhere, self.elsewhere_until = 0, 0.0

    # Reading: changes nothing, here or in Redis

    @property
    def config(self) -> CircuitBreakerConfig:
        """The settings, as far as they are known here."""
        return self._known().config

    @property
    def generation(self) -> int | None:
        """The generation as last seen; None if nothing is known of the breaker yet."""
        known = self._mirror.breaker(self.name)
        return known.generation if known is not None else None

    @property
    def state(self) -> CircuitState:
        """The fleet's state as last seen; an override in force counts.

        Where it is open in this process only, that is CLOSED: see ``get_stats()["open_here"]``.
        """
        return self._known().shown_state(self._mirror.now())

    def is_available(self) -> bool:
        """Whether a call would be admitted, as far as is known here."""
        breaker = self._known()
        available = breaker.refusal(self._mirror.now()) is None
        if available:
            self._mirror.asked[self.name] = _opening(breaker)
        return available

    async def ais_available(self) -> bool:
        """Whether a call would be admitted now."""
        await self._look()
        return self.is_available()

    def get_stats(self) -> dict[str, Any]:
        """Name, state and counters as last seen; ``last_failure_time`` in seconds of the epoch."""
        breaker, now = self._known(), self._mirror.now()
        stats = stats_of(self.name, breaker, now)
        stats["total_successes"] += self._successes.number(self._key)
        return stats

    async def aget_stats(self) -> dict[str, Any]:
        """Name, state and counters as they are in Redis now."""
        await self._look()
        return self.get_stats()

    # Admission

    def check_and_raise(self) -> None:
        """Raise if no call would be admitted, as far as is known here. Takes no permit.

        Raises:
            CircuitBreakerError: It would be refused.
        """
        if not self.is_available():
            now = self._mirror.now()
            raise self._refused(*(self._known().refusal(now) or ("open", 0)))

    async def acheck_and_raise(self) -> None:
        """Ask the fleet's breaker for admission.

        Where that is a probe, the permit is this process's until its next outcome for the provider.

        Raises:
            CircuitBreakerError: It is refused; ``retry_after`` is in seconds.
        """
        await self._look()
        admission = await self.admit(self._permits.new())
        if admission.refusal is not None:
            raise self._refused(*admission.refusal)
        if admission.verdict is Verdict.PERMIT:
            held = Held(admission.permit, admission.deadline)
            self._permits.keep(self.service_type, self.name, held, self._mirror.now())

    async def admit(self, permit: str) -> Admission:
        """Ask for admission, or the in-process breaker while Redis is known to be away.

        Where Redis was there a moment ago and has not answered, nobody knows: it is refused.
        What is open in this process only, and its trials, are nobody else's business.
        """
        try:
            store = await self._session.store()
            if self._known().is_open_here(self._mirror.now()):
                return self._acquire_here(permit)
            return await self._link.promptly(self._asked(store, permit))
        except StoreUnavailableError:
            breaker, now = self._known(), self._mirror.now()
            if (
                self._link.state != "down"
                and breaker.needs_permit(now)
                and not breaker.is_open_here(now)
            ):
                return Admission(Verdict.REFUSED, breaker.refusal(now) or Refusal("half_open", 0))
            return self._acquire_here(permit)

    def _acquire_here(self, permit: str) -> Admission:
        breaker = self._known().copy()
        admission = breaker.acquire(self._mirror.now(), permit)
        self._mirror.put(self.name, breaker)
        return admission

    async def _asked(self, store: Store, permit: str) -> Admission:
        """The answer of Redis; whoever does not wait for it gives the permit back behind it."""
        asking = self._outbox.send(self.acquire(store, permit))
        try:
            return await asyncio.shield(asking)
        except BaseException:
            asking.add_done_callback(lambda _: self.give_back(permit))
            raise

    async def acquire(self, store: Store, permit: str) -> Admission:
        """Ask with a permit of one's own making."""
        admission, reply = await store.breakers.acquire(self.service_type, self.name, permit)
        if admission.verdict is Verdict.MISSING:
            await self.mend(store)
            admission, reply = await store.breakers.acquire(self.service_type, self.name, permit)
        taken = (permit, admission.deadline) if admission.verdict is Verdict.PERMIT else None
        self._mirror.learn(self.name, reply, taken)
        return admission

    # Outcomes

    def record_success(self) -> None:
        """Report that a call succeeded."""
        if self._mirror.breaker(self.name) is None:
            self._mirror.wonder(self.name)
        if self._holds_permit() or not self.count_success():
            self._report("success")

    def count_success(self, generation: int | None = None) -> bool:
        """Count a success of a closed breaker, to be told together with others.

        ``generation`` is the one that let the call through, if that is known. False if it has to be
        told by itself: then nothing was counted.
        """
        breaker = self._known()
        if (
            breaker.state is not CircuitState.CLOSED
            or self._one_by_one
            or breaker.own is not None
            or not self._link.ok
            or (generation is not None and generation != breaker.generation)
        ):
            return False
        self._successes.count(self._key, breaker.generation)
        if breaker.failure_count or self._mirror.alerts:
            self._end_streak()
        return True

    def record_failure(self) -> None:
        """Report that a call failed."""
        self._report("failure")

    async def arecord_success(self) -> CircuitState:
        """Report that a call succeeded; the state after it."""
        return await self._areport("success")

    async def arecord_failure(self) -> CircuitState:
        """Report that a call failed; the state after it."""
        return await self._areport("failure")

    def give_back(self, permit: str) -> None:
        """Neither success nor failure: the permit is free again."""
        sent = self._count_here("returned", permit, None)
        if permit and not sent:
            return  # nobody else knows of it
        self._act(lambda breaker, now: breaker.record(now, "returned", permit))
        self._later("the return of a permit", lambda store: self.settle(store, "returned", permit))

    async def report(
        self,
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
        sent, process = self._count_here(outcome, permit, generation), self._session.process
        try:
            if self._link.ok:
                arriving = self._arrives(store, outcome, sent, generation, in_order=in_order)
                arrived = await self._link.attentively(self._outbox.send(arriving))
            else:
                self._learned().note(outcome)
        except StoreUnavailableError:
            pass  # it goes on, and is noted if it fails
        finally:
            if not arrived:
                self._act(
                    lambda breaker, now: breaker.record(now, outcome, sent, generation, by=process)
                )

    async def _arrives(
        self, store: Store, outcome: Outcome, permit: str, generation: int | None, *, in_order: bool
    ) -> bool:
        """Whether Redis took an outcome; where it did not, it is offered when Redis is back.

        Unless Redis may have it: one that is lost is better than one that is counted twice.
        """
        known = self._generation()
        try:
            if in_order:
                await self._sent_before()
            self._link.check()
            await self.settle(store, outcome, permit, generation)
        except UncertainWriteError as error:
            self._link.doubt(error)
            _log.info("one %s of %s may not be counted: %s", outcome, self.name, error)
            return False
        except StoreUnavailableError as error:
            self._link.doubt(error)
            self._meanwhile.of(self._key, known).note(outcome)
            return False
        return True

    async def _sent_before(self) -> None:
        """What was reported before goes first; what becomes of it is not this one's business."""
        try:
            await self._flush()
        except RegistryError as error:
            if isinstance(error, StoreUnavailableError):
                self._link.doubt(error)

    async def settle(
        self,
        store: Store,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
        earlier: Counted | None = None,
    ) -> None:
        """Record one outcome in Redis, with successes before it, and take over what it answers.

        If the connection breaks on the way, an outcome without a permit is not sent again: one
        that is lost is better than one that is counted twice.
        """
        number, age = (earlier.number, earlier.age()) if earlier is not None else (0, 0)
        await self._do(
            store,
            lambda: store.breakers.record(
                self.service_type,
                self.name,
                outcome,
                permit,
                generation,
                successes=number,
                age=age,
            ),
        )

    async def merge(self, store: Store, gathered: Gathered) -> None:
        """Offer Redis what was learned while it was away."""
        known, now = self._known(), self._mirror.now()
        learned = Learned(
            gathered.generation,
            gathered.successes,
            gathered.failures,
            gathered.streak,
            known.state is not CircuitState.CLOSED,
            max(0, gathered.cools_until - now),
            gathered.age(),
            max(0, known.retry_at - now) if known.state is CircuitState.OPEN else 0,
        )
        await self._do(store, lambda: store.breakers.merge(self.service_type, self.name, learned))

    # The operator's and the provider's word

    def cool_down(self, seconds: float, reason: str = "") -> None:
        """Leave the provider alone for ``seconds``; of two deadlines the later one counts."""
        length = length_of(seconds)
        until = self._cools_here(length)
        self._outbox.put(
            f"a cooldown of {self.service_type} {self.name}",
            lambda store: self._cool_down(store, length, reason),
            away=lambda: self._cooled(until),
        )

    async def acool_down(self, seconds: float, reason: str = "") -> None:
        """Leave the provider alone for ``seconds``, everywhere when this returns.

        If Redis is away, it is this process alone, and the fleet is told when Redis is back.
        """
        length = length_of(seconds)
        store = await self._session.store()
        until = self._cools_here(length)
        with contextlib.suppress(StoreUnavailableError):
            telling = self._outbox.send(self._tell_cooldown(store, length, until, reason))
            await self._link.attentively(telling)

    def _cools_here(self, length: int) -> int:
        """Cool down in this process; until when, by the server's clock."""
        self._act(lambda breaker, now: breaker.cool_down(now, length))
        return self._mirror.now() + length

    async def _tell_cooldown(self, store: Store, length: int, until: int, reason: str) -> None:
        """Tell the fleet of a cooldown; where Redis does not take it, when Redis is back."""
        try:
            await self._sent_before()
            self._link.check()
            await self._cool_down(store, length, reason)
        except StoreUnavailableError as error:
            self._link.doubt(error)
            self._cooled(until)

    def force_open(self, reason: str = "", duration: float | None = None) -> None:
        """Refuse every call of the fleet, for ``duration`` seconds or until it is cleared."""
        self._force("open", reason, duration)

    async def aforce_open(self, reason: str = "", duration: float | None = None) -> None:
        """Refuse every call of the fleet, from when this returns."""
        length = length_or_ever(duration)
        await self._surely(lambda store: self._override(store, "open", reason, length))

    def force_close(self, reason: str = "", duration: float | None = None) -> None:
        """Admit every call of the fleet, for ``duration`` seconds or until it is cleared."""
        self._force("closed", reason, duration)

    async def aforce_close(self, reason: str = "", duration: float | None = None) -> None:
        """Admit every call of the fleet, from when this returns."""
        length = length_or_ever(duration)
        await self._surely(lambda store: self._override(store, "closed", reason, length))

    def clear_override(self) -> None:
        """Take a forced state away; what the breaker had decided itself stands again."""
        self._force("", "", None)

    async def aclear_override(self) -> None:
        """Take a forced state away, everywhere when this returns."""
        await self._surely(lambda store: self._override(store, "", "", 0))

    def reset(self, reason: str = "") -> None:
        """Close it and forget what it counted, its cooldown and its override; settings stay."""
        self._permits.forget(self.service_type, self.name)
        self._act(lambda breaker, now: breaker.reset(now))
        self._later("a reset", lambda store: self._reset(store, reason))

    async def areset(self, reason: str = "") -> None:
        """Close it everywhere when this returns."""
        await self._surely(lambda store: self._reset(store, reason))

    def __repr__(self) -> str:
        return f"BreakerHandle({self.service_type!r}, {self.name!r}, {self.state.value})"

    def _known(self) -> BreakerState:
        known = self._mirror.breaker(self.name)
        if known is None:
            known = BreakerState(self._membership.config_for(self.service_type, self.name)[0])
            self._mirror.put(self.name, known)
        return known

    def _refused(self, reason: str, retry_at: int) -> CircuitBreakerError:
        left = max(0, retry_at - self._mirror.now()) / 1000 if retry_at else None
        return CircuitBreakerError(self.name, reason, left)

    async def _surely(self, write: Callable[[Store], Awaitable[object]]) -> None:
        """Write when everything before it is written; wait for Redis if it is away."""
        store = await self._session.store()
        self._known()

        async def attempt() -> None:
            self._link.check()
            await self._flush()
            await write(store)

        await self._link.patiently(attempt)

    async def _flush(self) -> None:
        await self._successes.flush()
        await self._outbox.flush()

    async def _read(self, store: Store) -> None:
        await self._flush()
        await self._mirror.read_breaker(store, self.name)

    async def _look(self) -> None:
        """Read the breaker anew, if Redis is there."""
        try:
            store = await self._session.store()
            self._link.check()
            await self._link.attentively(self._outbox.send(self._read(store)))
        except StoreUnavailableError:
            pass
        self._known()

    def _claim(self) -> tuple[str, int | None]:
        """What the next outcome settles: a permit, or what ``is_available`` said, or nothing."""
        self._mirror.wonder(self.name)
        permit = self._permits.take(self.service_type, self.name, self._mirror.now())
        known = self._known()
        if not permit and self._mirror.asked.get(self.name) == _opening(known):
            return ASKED, known.generation
        return permit, None

    def _report(self, outcome: Outcome) -> None:
        claimed, generation = self._claim()
        permit, process = self._count_here(outcome, claimed, generation), self._session.process
        learned = None if self._link.ok else self._learned()
        self._act(lambda breaker, now: breaker.record(now, outcome, permit, generation, by=process))
        if learned is not None:
            learned.note(outcome)
            return
        earlier = self._successes.take(self._key)
        self._outbox.put(
            f"an outcome of {self.service_type} {self.name}",
            lambda store: self.settle(store, outcome, permit, generation, earlier),
            repeatable=False,
            away=lambda: self._note(outcome, earlier),
        )

    async def _areport(self, outcome: Outcome) -> CircuitState:
        permit, generation = self._claim()
        await self.report(outcome, permit, generation, in_order=True)
        return self.state

    def _generation(self) -> int:
        """The shared generation that was last known, without what is foreseen here."""
        return (self._mirror.confirmed(self.name) or self._known()).generation

    def _learned(self) -> Gathered:
        return self._meanwhile.of(self._key, self._generation())

    def _cooled(self, until: int) -> None:
        learned = self._learned()
        learned.cools_until = max(learned.cools_until, until)

    def learn(self, counted: Counted) -> None:
        """Successes that Redis has not been told of, and will be offered when it is back."""
        self._learned().note("success", counted.number, counted.newest)

    def _note(self, outcome: Outcome, earlier: Counted | None) -> None:
        learned = self._learned()
        if earlier is not None:
            learned.note("success", earlier.number, earlier.newest)
        learned.note(outcome)

    def _holds_permit(self) -> bool:
        permits = self._permits
        # Most of the time nothing is held of anybody, and this is asked for each success.
        return bool(permits.held) and permits.holds(*self._key, self._mirror.now())

    def _end_streak(self) -> None:
        """A success while a streak runs, or may run: the fleet has to know at once."""
        if self._known().failure_count:
            self._act(_without_streak)
        elif not self._mirror.alerted(self.name):
            return
        self._successes.hurry()

    def _act(self, change: Callable[[BreakerState, int], object]) -> None:
        """Foresee here what Redis will answer, so that the very next line sees it.

        A streak of this process alone sleeps while it is foreseen that all refuse the provider; any
        other decision ends it.
        """
        known = self._known()
        breaker = known.copy()
        change(breaker, self._mirror.now())
        if breaker.generation != known.generation and breaker.state is CircuitState.CLOSED:
            breaker.own = None
        self._mirror.put(self.name, breaker)

    # What is open in this process only

    def _count_here(self, outcome: Outcome, permit: str, generation: int | None) -> str:
        """Count an outcome in this process's own streak; the permit that Redis may know of."""
        breaker = self._known()
        own = breaker.own
        after = counted(breaker, self._mirror.now(), outcome, permit, generation)
        if after is not own:
            changed = breaker.copy()
            changed.own = after
            self._mirror.put(self.name, changed)
            if after is None:
                self.tell_here("its trial succeeded")
        return "" if own is not None and permit == own.trial else permit

    def tell_here(self, reason: str = "its own streak has ended") -> None:
        """Tell the fleet, if that is news, that it is open in this process only, or no longer.

        ``reason`` says why no longer.
        """
        if self._news_here() is not None:
            self._outbox.put(
                f"what is open here of {self.service_type} {self.name}",
                lambda store: self._isolate(store, reason),
                repeatable=False,
            )

    def _news_here(self) -> int | None:
        """Until when it is open in this process only, 0 if it is not; None if that is told."""
        breaker, now = self._known(), self._mirror.now()
        own = breaker.own
        if own is not None and own.until and not (own.until > now and breaker.is_open_here(now)):
            return None
        until = own.until if own is not None else 0
        return until if until != self._mirror.told.get(self.name, 0) else None

    async def _isolate(self, store: Store, reason: str) -> None:
        until, told, own = self._news_here(), self._mirror.told, self._known().own
        if until is None:
            return
        if own is not None and until:
            again = self.name in told
            reason = "its trial failed" if again else f"{own.failures} failures in a row of its own"
        await self._membership.announce(store, [self.service_type])
        length = max(0, until - self._mirror.now())
        reply = await store.breakers.isolate(self.service_type, self.name, length, reason)
        told.pop(self.name, None)
        if until and reply.verdict is Verdict.CHANGED:
            told[self.name] = until

    def _later(self, what: str, write: Callable[[Store], Awaitable[object]]) -> None:
        self._outbox.put(f"{what} of {self.service_type} {self.name}", write)

    def _force(
        self, override: Literal["", "open", "closed"], reason: str, duration: float | None
    ) -> None:
        length, by = length_or_ever(duration), self._session.process
        self._act(lambda breaker, now: breaker.set_override(now, override, reason, by, length))
        self._later("an override", lambda store: self._override(store, override, reason, length))

    async def _cool_down(self, store: Store, length: int, reason: str) -> BreakerReply:
        return await self._do(
            store, lambda: store.breakers.cool_down(self.service_type, self.name, length, reason)
        )

    async def _override(
        self, store: Store, override: str, reason: str, length: int
    ) -> BreakerReply:
        return await self._do(
            store,
            lambda: store.breakers.override(
                self.service_type, self.name, override, reason, "", length
            ),
        )

    async def _reset(self, store: Store, reason: str) -> BreakerReply:
        self._permits.forget(self.service_type, self.name)
        return await self._do(
            store, lambda: store.breakers.reset(self.service_type, self.name, reason, "")
        )

    async def _do(self, store: Store, call: Callable[[], Awaitable[BreakerReply]]) -> BreakerReply:
        reply = await call()
        if reply.verdict is Verdict.MISSING:
            await self.mend(store)
            reply = await call()
        self._mirror.learn(self.name, reply)
        if self._known().own is not None or self.name in self._mirror.told:
            self.tell_here()
        return reply

    async def mend(self, store: Store) -> None:
        """Redis has no such breaker: give it its settings, and what is still known of it."""
        await self._membership.configure(store, self.service_type, self.name)
        known = self._mirror.confirmed(self.name)
        if known is not None and (known.decided_at or known.cooldown_until):
            seen_at = self._mirror.now()
            await store.breakers.restore(self.service_type, self.name, remembered(known), seen_at)


def _opening(breaker: BreakerState) -> tuple[int, int]:
    """Which opening it is that somebody was told to be over: that of all, and that of here."""
    return breaker.opened_at, breaker.own.until if breaker.own is not None else 0


def _without_streak(breaker: BreakerState, _now: int) -> None:
    breaker.failure_count = breaker.streak_from = 0
