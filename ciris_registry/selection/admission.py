"""Admitting one candidate: permit of the breaker, health check, slot.

A failed step releases what the earlier ones took. Which candidate is next, the resolver decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ciris_registry.circuit_breaker import Refusal, ReplyCode
from ciris_registry.selection.candidates import NOT_BOUND, Rejected
from ciris_registry.selection.health_checks import HealthChecks, health_check_of
from ciris_registry.selection.pick import Pick
from ciris_registry.shared_breaker import HeldPermit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.cache import Replica
    from ciris_registry.membership import Binding, Bindings
    from ciris_registry.registration import Registration
    from ciris_registry.selection.concurrency_limit import ConcurrencyLimit, Slot
    from ciris_registry.shared_breaker import (
        BreakerAdmission,
        Breakers,
        HeldPermits,
        Reporting,
        SharedBreaker,
    )
    from ciris_registry.store import Session

    OnFailedFactory = Callable[[SharedBreaker, Exception, str, int | None], Awaitable[None]]

_BEFORE_ITS_PERMIT: Final = 0.9
"""The share of its permit's time that a probe may take: a later outcome would be stale."""

_SHORTEST: Final = 0.001


async def _not_counted(*_: object) -> None:
    """Without a way to settle outcomes, a factory that fails counts for nothing."""


class Admission:
    """Admits calls of this process, one candidate at a time.

    ``on_failed_factory`` settles the outcome of a factory that failed, with the permit and the
    generation that its breaker had.
    """

    def __init__(
        self,
        session: Session,
        bindings: Bindings,
        breakers: Breakers,
        permits: HeldPermits,
        breaker_admission: BreakerAdmission,
        reporting: Reporting,
        concurrency_limit: ConcurrencyLimit,
    ) -> None:
        self._session = session
        self._bindings = bindings
        self._breakers = breakers
        self._permits = permits
        self._breaker_admission = breaker_admission
        self._reporting = reporting
        self._concurrency_limit = concurrency_limit
        self._checks = HealthChecks(session)
        self.on_failed_factory: OnFailedFactory = _not_counted

    async def admit(
        self, replica: Replica, one: Registration, rejected: list[Rejected], *, settles: bool
    ) -> Pick | None:
        """Admit a candidate, or append the reason to ``rejected`` and return None.

        With ``settles``, the caller reports the outcome of its call, which is then the outcome of a
        probe. Without it, the health check is the probe.
        """
        binding = self._bindings.find(one)
        if binding is None:
            rejected.append(Rejected(one, NOT_BOUND))
            return None
        breaker = self._breakers.of(one.service_type, one.name)
        permit = await self._permitted(replica, one, breaker)
        if isinstance(permit, Refusal):
            rejected.append(Rejected(one, *permit))
            return None
        known = replica.snapshot.breakers.get(one.name)
        generation = known.generation if known is not None else None
        seconds = breaker.config.timeout_duration
        try:
            instance, permit, problem = await self._instance(
                one, breaker, binding, permit, settles=settles
            )
            if problem:
                slot: Slot | Rejected | None = Rejected(one, problem)
            else:  # the last that can fail
                slot = await self._concurrency_limit.take(one, breaker) if settles else None
        except BaseException:
            if permit is not None:
                self._breaker_admission.release(breaker, permit.permit)
            raise
        if isinstance(slot, Rejected):
            if permit is not None:
                self._breaker_admission.release(breaker, permit.permit)
            rejected.append(slot)
            return None
        if permit is not None:
            # The outcome must be reported before the permit ends.
            left = (permit.deadline - replica.now()) / 1000
            seconds = max(_SHORTEST, min(seconds, left) * _BEFORE_ITS_PERMIT)
        return Pick(one, instance, breaker, seconds, generation, permit, binding.classify, slot)

    async def _permitted(
        self, replica: Replica, one: Registration, breaker: SharedBreaker
    ) -> HeldPermit | Refusal | None:
        """The permit for a probe, or the refusal; None if the call is no probe."""
        known = replica.snapshot.breakers.get(one.name)
        if known is None or not known.needs_permit(replica.now()):
            return None
        admission = await self._breaker_admission.admit(breaker, self._permits.new())
        if admission.code is ReplyCode.PERMIT:
            return HeldPermit(admission.permit, admission.deadline)
        return admission.refusal

    async def _instance(
        self,
        one: Registration,
        breaker: SharedBreaker,
        binding: Binding,
        permit: HeldPermit | None,
        *,
        settles: bool,
    ) -> tuple[Any, HeldPermit | None, str]:  # a program's object
        """The instance, the permit unless it is settled, and the problem, empty if none."""
        generation, limit = breaker.generation, breaker.config.timeout_duration
        instance, failure = await binding.get(one, self._session, limit * _BEFORE_ITS_PERMIT)
        if instance is None:
            if failure is not None and settles:
                held = permit.permit if permit is not None else ""
                await self.on_failed_factory(breaker, failure, held, generation)
                permit = None
            return None, permit, "its factory failed"
        check = health_check_of(instance)
        if check is None:
            return instance, permit, ""
        healthy, permit = await self._probed(one, instance, check, permit, settles=settles)
        return instance, permit, "" if healthy else "unhealthy"

    async def _probed(
        self,
        one: Registration,
        instance: object,
        check: Callable[[], object],
        permit: HeldPermit | None,
        *,
        settles: bool,
    ) -> tuple[bool, HeldPermit | None]:
        """Run the health check: whether the instance is healthy, and the permit if still held.

        The outcome of the check settles the permit, unless the caller ``settles`` it.
        """
        breaker = self._breakers.of(one.service_type, one.name)
        key, limit = (one.service_type, one.name, id(instance)), breaker.config.timeout_duration
        if permit is None:
            known = breaker.generation
            healthy, _ = await self._checks.ask(
                key, check, limit, lambda: self._reporting.report(breaker, "failure", "", known)
            )
            return healthy, None
        healthy, is_new = await self._checks.ask(key, check, limit * _BEFORE_ITS_PERMIT)
        if healthy and settles:
            return True, permit
        if is_new:
            await self._reporting.report(
                breaker, "success" if healthy else "failure", permit.permit
            )
        else:  # one check is one probe, however many callers wait for it
            self._breaker_admission.release(breaker, permit.permit)
        return healthy, None
