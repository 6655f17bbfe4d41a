"""One resolve: sync the snapshot, walk it, be admitted, hand out the instance.

Owns the order of these steps. It decides nothing that is shared, and records only what health
checks say: resolving is not a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ciris_registry.breaker_rules import Verdict
from ciris_registry.errors import DamagedStateError, StoreUnavailableError
from ciris_registry.health_checks import HealthChecks, health_check_of
from ciris_registry.permits import Held
from ciris_registry.plans import Plans
from ciris_registry.rotation import Rotations
from ciris_registry.selection import rotated, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ciris_registry.bindings import Bindings
    from ciris_registry.breaker_rules import BreakerState
    from ciris_registry.mirror import Mirror
    from ciris_registry.parts import Parts
    from ciris_registry.plans import Plan
    from ciris_registry.records import Registration
    from ciris_registry.selection import Request, Tier
    from ciris_registry.store import Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

_BEFORE_ITS_PERMIT: Final = 0.9
"""A probe that hangs must be given up while its permit stands: an outcome after it is late."""

_MANY_TURNS: Final = 2**16


class Explanation(NamedTuple):
    """What a resolve would do with one registration, and why."""

    name: str
    scope: str
    verdict: str
    reason: str
    retry_after: float | None = None


class Resolver:
    """Resolves requests to instances of this process."""

    def __init__(self, parts: Parts, bindings: Bindings, views: Views) -> None:
        self._exact = parts.exact
        self._session = parts.session
        self._link = parts.link
        self._outbox = parts.outbox
        self._permits = parts.permits
        self._bindings = bindings
        self._views = views
        self._checks = HealthChecks(parts.session)
        self._rotations = Rotations(parts.session, parts.link)
        self._plans = Plans(bindings, self._rotations)
        # What is unbound must not be kept alive by what was planned with it.
        bindings.on_change = self._plans.clear
        self._damaged: set[str] = set()
        self._turns: dict[tuple[str, str], itertools.count[int]] = {}

    def planned(self, key: object) -> Plan | None:
        """The plan for what a caller says, if somebody has said it before; it may be old."""
        try:
            return self._plans.quick.get(key)
        except TypeError:
            return None  # it cannot be a request either, and who reads it says why

    def forget(self) -> None:
        """Whatever was planned does not hold any more."""
        self._plans.clear()

    async def resolve(
        self, request: Request, *, exact: bool, key: object = None
    ) -> Any:  # a program's object
        """The instance that serves the request now, or None; next time found by ``key``."""
        store = await self._session.store()
        mirror = self._views.mirror(request.service_type)
        if self._outbox.owed or (exact and self._outbox.pending):
            await self._delivered()
        plan, taken, position = await self._look(store, mirror, request, exact=exact)
        if key is not None:
            self._plans.remember(key, plan)
        if plan.instances and taken == plan.walk.cursor:
            return plan.instances[position % len(plan.instances)]
        now = mirror.now()
        for tier in plan.walk.tiers:
            for registration in await self._in_order(store, request, tier, taken, position):
                try:
                    instance = await self._admitted(mirror, registration, now)
                except DamagedStateError as error:
                    self._complain(registration, error)
                    continue
                if instance is not None:
                    return instance
        return None

    async def _delivered(self) -> None:
        """What is pending has reached Redis, unless that is away."""
        with contextlib.suppress(StoreUnavailableError):
            self._link.check()
            writing = self._session.spawn(self._outbox.flush(), watched=True)
            await self._link.attentively(writing)

    async def _look(
        self, store: Store, mirror: Mirror, request: Request, *, exact: bool
    ) -> tuple[Plan, str, int]:
        """The plan on a snapshot that may be relied on, and a position of the cursor it names."""
        if not exact and time.monotonic() < mirror.fresh_until:
            return self._plans.get(mirror, request, mirror.now()), "", 0
        # Which cursor this request moves hardly ever changes, so the sync takes the step along.
        planned = self._plans.known(request)
        taken = planned.walk.cursor if planned is not None and exact else ""
        try:
            _, now, position = await mirror.promptly(store, taken)
        except StoreUnavailableError:
            # A loop that only resolves must not keep from running what looks for Redis.
            await asyncio.sleep(0)
            return self._plans.get(mirror, request, mirror.now()), "", 0
        return self._plans.get(mirror, request, now), taken, position

    async def explain(self, request: Request) -> list[Explanation]:
        """What ``resolve`` would do now with each registration; moves no cursor, asks no check."""
        store = await self._session.store()
        mirror = self._views.mirror(request.service_type)
        await self._delivered()
        try:
            snapshot, now, _ = await mirror.promptly(store)
        except StoreUnavailableError:
            snapshot, now = mirror.snapshot, mirror.now()
        plan = walk(snapshot, request, self._bindings.has, now)
        told: list[Explanation] = []
        for tier in plan.tiers:
            order: Iterable[Registration] = tier.candidates
            if tier.cursor and tier.shared:
                order = rotated(tier.candidates, await self._next(store, request, tier.cursor))
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

    async def _next(self, store: Store, request: Request, cursor: str) -> int:
        """The position that the next resolve will take, without taking it."""
        if not self._exact:
            return self._rotations.of(request.service_type, cursor).upcoming
        try:
            return await self._link.promptly(store.take(request.service_type, cursor, 0))
        except StoreUnavailableError:
            return 0

    def _complain(self, registration: Registration, error: DamagedStateError) -> None:
        if registration.name not in self._damaged:
            self._damaged.add(registration.name)
            _log.warning("%s is passed over: %s", registration.name, error)

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
        elif not taken and not self._exact:
            position = await self._rotations.step(request.service_type, tier.cursor)
        elif tier.cursor != taken:
            position = await self._taken(store, request.service_type, tier.cursor)
        return rotated(tier.candidates, position)

    async def _taken(self, store: Store, service_type: str, cursor: str) -> int:
        try:
            # Not a call of its own: those who ask at the same time share one.
            _, _, position = await self._views.mirror(service_type).promptly(store, cursor)
        except StoreUnavailableError:
            return await self._rotations.step(service_type, cursor)
        return position

    async def _admitted(
        self, mirror: Mirror, registration: Registration, now: int
    ) -> Any:  # a program's object
        """The candidate's instance if it may be called now, else None."""
        binding = self._bindings.find(registration)
        if binding is None:
            return None
        breaker = mirror.snapshot.breakers.get(registration.name)
        permit: Held | None = None
        if breaker is not None and breaker.needs_permit(now):
            handle = self._views.handle(registration.service_type, registration.name)
            asked = self._permits.new()
            admission = await handle.admit(asked)
            if admission.verdict is Verdict.REFUSED:
                return None
            if admission.verdict is Verdict.PERMIT:
                permit = Held(asked, admission.deadline)
        try:
            instance = await binding.get(registration)
            check = health_check_of(instance) if instance is not None else None
            if instance is None or check is None:
                return self._handed_out(registration, instance, permit)
            healthy = await self._healthy(registration, instance, check, breaker, permit)
        except BaseException:
            if permit is not None:
                self._views.handle(registration.service_type, registration.name).give_back(
                    permit.permit
                )
            raise
        return instance if healthy else None

    def _handed_out(self, registration: Registration, instance: object, permit: Held | None) -> Any:
        if permit is not None and instance is not None:
            self._permits.keep(registration.service_type, registration.name, permit)
        elif permit is not None:
            self._views.handle(registration.service_type, registration.name).give_back(
                permit.permit
            )
        return instance

    async def _healthy(
        self,
        registration: Registration,
        instance: object,
        check: Callable[[], object],
        breaker: BreakerState | None,
        permit: Held | None,
    ) -> bool:
        kind, name = registration.service_type, registration.name
        handle = self._views.handle(kind, name)
        limit = handle.config.timeout_duration
        if permit is None:
            generation = breaker.generation if breaker is not None else None
            healthy, _ = await self._checks.ask(
                (kind, name, id(instance)),
                check,
                limit,
                lambda: handle.report("failure", "", generation),
            )
            return healthy
        healthy, asked = await self._checks.ask(
            (kind, name, id(instance)), check, limit * _BEFORE_ITS_PERMIT
        )
        if asked:
            await handle.report("success" if healthy else "failure", permit.permit)
        else:
            handle.give_back(permit.permit)  # one check is one probe, whoever waits for it
        return healthy
