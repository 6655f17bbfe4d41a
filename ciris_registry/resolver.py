"""One resolve: sync the snapshot, walk it, be admitted, hand out the instance.

Owns the order of these steps. It decides nothing that is shared, and records only what health
checks say: resolving is not a call.
"""

from __future__ import annotations

import itertools
import logging
import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ciris_registry.breaker_rules import Verdict
from ciris_registry.errors import DamagedStateError
from ciris_registry.health_checks import HealthChecks, health_check_of
from ciris_registry.permits import Held
from ciris_registry.selection import Request, Walk, rotated, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ciris_registry.bindings import Bindings
    from ciris_registry.mirror import Mirror
    from ciris_registry.outbox import Outbox
    from ciris_registry.records import Registration
    from ciris_registry.selection import Tier
    from ciris_registry.session import Session
    from ciris_registry.snapshot import Snapshot
    from ciris_registry.store import Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

_BEFORE_ITS_PERMIT: Final = 0.9
"""A probe that hangs must be given up while its permit stands: an outcome after it is late."""

_MOST_PLANS: Final = 10_000
_MANY_TURNS: Final = 2**16
"""Programs may make up handler names; what is remembered of them has an end."""


class _Plan(NamedTuple):
    snapshot: Snapshot
    bindings: int
    walk: Walk


class Explanation(NamedTuple):
    """What a resolve would do with one registration, and why."""

    name: str
    scope: str
    verdict: str
    reason: str
    retry_after: float | None = None


class Resolver:
    """Resolves requests to instances of this process."""

    def __init__(  # the parts of its registry
        self,
        session: Session,
        outbox: Outbox,
        bindings: Bindings,
        views: Views,
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._bindings = bindings
        self._views = views
        self._checks = HealthChecks(session)
        self._damaged: set[str] = set()
        self._plans: dict[Request, _Plan] = {}
        self._turns: dict[tuple[str, str], itertools.count[int]] = {}

    async def resolve(self, request: Request) -> Any:  # a program's object
        """The instance that serves the request now, or None."""
        store = await self._session.store()
        if self._outbox.pending:
            await self._outbox.flush()
        mirror = self._views.mirror(request.service_type)
        # Which cursor this request moves hardly ever changes, so the sync takes the step along.
        planned = self._plans.get(request)
        taken = planned.walk.cursor if planned is not None else ""
        snapshot, now, position = await mirror.sync(store, taken)
        plan = self._plan(request, snapshot, now)
        for tier in plan.tiers:
            for registration in await self._in_order(store, request, tier, taken, position):
                try:
                    instance = await self._admitted(store, mirror, registration, now)
                except DamagedStateError as error:
                    self._complain(registration, error)
                    continue
                if instance is not None:
                    return instance
        return None

    async def explain(self, request: Request) -> list[Explanation]:
        """What ``resolve`` would do now with each registration; moves no cursor, asks no check."""
        store = await self._session.store()
        await self._outbox.flush()
        mirror = self._views.mirror(request.service_type)
        snapshot, now, _ = await mirror.sync(store)
        plan = walk(snapshot, request, self._bindings.has, now)
        told: list[Explanation] = []
        for tier in plan.tiers:
            order: Iterable[Registration] = tier.candidates
            if tier.cursor and tier.shared:
                position = await store.take(request.service_type, tier.cursor, 0)
                order = rotated(tier.candidates, position)
            for one in order:
                breaker = snapshot.breakers.get(one.name)
                reason = "in turn" if tier.cursor else "in order"
                if breaker is not None and breaker.needs_permit(now):
                    reason += ", if it gets the permit for a probe"
                verdict = "chosen" if not told else "next"
                told.append(Explanation(one.name, one.scope or "global", verdict, reason))
        for one, reason, retry_at in plan.left:
            wait = max(0, retry_at - now) / 1000 if retry_at else None
            told.append(Explanation(one.name, one.scope or "global", "left out", reason, wait))
        return told

    def _complain(self, registration: Registration, error: DamagedStateError) -> None:
        if registration.name not in self._damaged:
            self._damaged.add(registration.name)
            _log.warning("%s is passed over: %s", registration.name, error)

    def _plan(self, request: Request, snapshot: Snapshot, now: int) -> Walk:
        """The walk of a request, made anew only if something that it rests on has changed."""
        plan = self._plans.get(request)
        if (
            plan is None
            or plan.snapshot is not snapshot
            or plan.bindings != self._bindings.version
            or not plan.walk.holds(now)
        ):
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            walked = walk(snapshot, request, self._bindings.has, now)
            plan = self._plans[request] = _Plan(snapshot, self._bindings.version, walked)
        return plan.walk

    async def _in_order(
        self, store: Store, request: Request, tier: Tier, taken: str, position: int
    ) -> Iterable[Registration]:
        if not tier.cursor:
            return tier.candidates
        if not tier.shared:
            key = (request.service_type, tier.cursor)
            if key not in self._turns:
                # Many processes that turn by themselves must not all begin with the same one.
                self._turns[key] = itertools.count(random.randrange(_MANY_TURNS))  # noqa: S311 # no secret
            position = next(self._turns[key])
        elif tier.cursor != taken:
            position = await store.take(request.service_type, tier.cursor, 1)
        return rotated(tier.candidates, position)

    async def _admitted(
        self, store: Store, mirror: Mirror, registration: Registration, now: int
    ) -> Any:  # a program's object
        """The candidate's instance if it may be called now, else None."""
        binding = self._bindings.find(registration)
        if binding is None:
            return None
        breaker = mirror.snapshot.breakers.get(registration.name)
        permit: Held | None = None
        if breaker is not None and breaker.needs_permit(now):
            handle = self._views.handle(registration.service_type, registration.name)
            asked = self._views.permits.new()
            admission = await handle.acquire(store, asked)
            if admission.verdict is Verdict.REFUSED:
                return None
            if admission.verdict is Verdict.PERMIT:
                permit = Held(asked, admission.deadline)
        try:
            instance = await binding.get(registration)
            check = health_check_of(instance) if instance is not None else None
            if instance is None or check is None:
                return self._handed_out(registration, instance, permit)
            return instance if await self._healthy(store, registration, check, permit) else None
        except BaseException:
            if permit is not None:
                self._views.handle(registration.service_type, registration.name).give_back(
                    permit.permit
                )
            raise

    def _handed_out(self, registration: Registration, instance: object, permit: Held | None) -> Any:
        if permit is not None and instance is not None:
            self._views.permits.keep(registration.service_type, registration.name, permit)
        elif permit is not None:
            self._views.handle(registration.service_type, registration.name).give_back(
                permit.permit
            )
        return instance

    async def _healthy(
        self,
        store: Store,
        registration: Registration,
        check: Callable[[], object],
        permit: Held | None,
    ) -> bool:
        handle = self._views.handle(registration.service_type, registration.name)
        healthy = await self._checks.ask(
            (registration.service_type, registration.id),
            check,
            handle.config.timeout_duration * (_BEFORE_ITS_PERMIT if permit is not None else 1),
            None if permit is not None else lambda: handle.settle(store, "failure"),
        )
        if permit is not None:
            await handle.settle(store, "success" if healthy else "failure", permit.permit)
        return healthy
