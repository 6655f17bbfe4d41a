"""Whether one candidate may be called now: its breaker, its health check and its slots are asked.

Owns what is taken for a call on the way in, and gives all of it back if anything fails between. It
refuses to choose among candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ciris_registry.circuit_breaker import Refusal, ReplyCode
from ciris_registry.selection.candidates import NOT_BOUND, Rejected
from ciris_registry.selection.health_checks import HealthChecks, health_check_of
from ciris_registry.selection.pick import Pick
from ciris_registry.shared_breaker import Held

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache import Replica
    from ciris_registry.membership import Binding, Bindings
    from ciris_registry.parts import Parts
    from ciris_registry.registration import Registration
    from ciris_registry.selection.concurrency_limit import Slot
    from ciris_registry.shared_breaker import SharedBreaker
    from ciris_registry.views import Views

_BEFORE_ITS_PERMIT: Final = 0.9
"""A probe that hangs must be given up while its permit stands: an outcome after it is late."""

_SHORTEST: Final = 0.001


class Admission:
    """Lets calls of this process through, one candidate at a time."""

    def __init__(self, parts: Parts, bindings: Bindings, views: Views) -> None:
        self._permits = parts.permits
        self._slots = parts.slots
        self._admissions = views.breaker_parts.admissions
        self._outcomes = views.breaker_parts.outcomes
        self._bindings = bindings
        self._views = views
        self._checks = HealthChecks(parts.session)

    async def admit(
        self, replica: Replica, one: Registration, passed: list[Rejected], *, settles: bool
    ) -> Pick | None:
        """A candidate, if it may be called now; else why not is appended to ``passed``.

        ``settles`` says that whoever calls it reports how that call ended: then that, and not its
        health check, decides what a probe has shown.
        """
        binding = self._bindings.find(one)
        if binding is None:
            passed.append(Rejected(one, NOT_BOUND))
            return None
        shared = self._views.breaker(one.service_type, one.name)
        permit = await self._permitted(replica, one, shared)
        if isinstance(permit, Refusal):
            passed.append(Rejected(one, *permit))
            return None
        breaker = replica.snapshot.breakers.get(one.name)
        generation = breaker.generation if breaker is not None else None
        seconds = shared.config.timeout_duration
        try:
            instance, permit, problem = await self._asked(one, binding, permit, settles=settles)
            if problem:
                slot: Slot | Rejected | None = Rejected(one, problem)
            else:  # the last that can fail
                slot = await self._slots.take(one, shared) if settles else None
        except BaseException:
            if permit is not None:
                self._admissions.give_back(shared, permit.permit)
            raise
        if isinstance(slot, Rejected):
            if permit is not None:
                self._admissions.give_back(shared, permit.permit)
            passed.append(slot)
            return None
        if permit is not None:
            # Its outcome must be known while the permit stands.
            left = (permit.deadline - replica.now()) / 1000
            seconds = max(_SHORTEST, min(seconds, left) * _BEFORE_ITS_PERMIT)
        return Pick(one, instance, shared, seconds, generation, permit, binding.classify, slot)

    async def _permitted(
        self, replica: Replica, one: Registration, shared: SharedBreaker
    ) -> Held | Refusal | None:
        """The permit for a probe, or why there is none; None if a call needs none."""
        breaker = replica.snapshot.breakers.get(one.name)
        if breaker is None or not breaker.needs_permit(replica.now()):
            return None
        admission = await self._admissions.admit(shared, self._permits.new())
        if admission.verdict is ReplyCode.PERMIT:
            return Held(admission.permit, admission.deadline)
        return admission.refusal

    async def _asked(
        self, one: Registration, binding: Binding, permit: Held | None, *, settles: bool
    ) -> tuple[Any, Held | None, str]:  # a program's object
        """The instance, the permit if that is not settled yet, and what is wrong, if anything."""
        instance = await binding.get(one)
        if instance is None:
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
        permit: Held | None,
        *,
        settles: bool,
    ) -> tuple[bool, Held | None]:
        """Whether the instance says that it is healthy; and the permit, if that has not settled it.

        A call that settles the permit goes on with it.
        """
        shared = self._views.breaker(one.service_type, one.name)
        key, limit = (one.service_type, one.name, id(instance)), shared.config.timeout_duration
        if permit is None:
            known = shared.generation
            healthy, _ = await self._checks.ask(
                key, check, limit, lambda: self._outcomes.report(shared, "failure", "", known)
            )
            return healthy, None
        healthy, asked = await self._checks.ask(key, check, limit * _BEFORE_ITS_PERMIT)
        if healthy and settles:
            return True, permit
        if asked:
            await self._outcomes.report(shared, "success" if healthy else "failure", permit.permit)
        else:  # one check is one probe, whoever waits for it
            self._admissions.give_back(shared, permit.permit)
        return healthy, None
