"""One resolve: sync the snapshot, walk it, be admitted, hand out who may be called.

Owns the order of these steps. It decides nothing that is shared, and records only what health
checks say: resolving is not a call.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final

from ciris_registry.errors import StoreError, StoreUnavailableError
from ciris_registry.explanation import Explanation
from ciris_registry.selection.admission import Admission
from ciris_registry.selection.candidates import Rejected
from ciris_registry.selection.picker import Pickers, load
from ciris_registry.selection.round_robin import RoundRobins

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ciris_registry.cache import Replica
    from ciris_registry.membership import Bindings
    from ciris_registry.parts import Parts
    from ciris_registry.registration import Registration
    from ciris_registry.selection.candidates import Request, Tier
    from ciris_registry.selection.pick import Pick
    from ciris_registry.selection.picker import Picker
    from ciris_registry.store import Store
    from ciris_registry.views import Views

_log = logging.getLogger(__name__)

_MANY_TURNS: Final = 2**16


class Resolver:
    """Resolves requests to instances of this process."""

    def __init__(self, parts: Parts, bindings: Bindings, views: Views) -> None:
        self._exact = parts.exact
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._write_queue = parts.write_queue
        self._permits = parts.permits
        self._views = views
        self._admission = Admission(parts, bindings, views)
        self._round_robins = RoundRobins(parts.session, parts.connectivity)
        self._pickers = Pickers(views, bindings, self._round_robins)
        # What is unbound must not be kept alive by what was planned with it.
        bindings.on_change = self._pickers.clear
        self._damaged: set[str] = set()
        self._turns: dict[tuple[str, str], itertools.count[int]] = {}

    def picker_for(self, key: object) -> Picker | None:
        """The plan for what a caller says, if somebody has said it before; it may be old."""
        try:
            return self._pickers.quick.get(key)
        except TypeError:
            return None  # it cannot be a request either, and who reads it says why

    def now(self, service_type: str) -> int:
        """The server's time in milliseconds, as far as this process can tell."""
        return self._views.replica(service_type).now()

    def registered_for(self, service_type: str) -> list[str]:
        """The handlers for whom somebody offers it, as far as is known here."""
        snapshot = self._views.replica(service_type).snapshot
        return sorted({one.scope or "global" for one in snapshot.registrations})

    def soonest(self, request: Request) -> float:
        """In how many seconds a provider might serve, as far as is known here; 0 if one may now."""
        replica = self._views.replica(request.service_type)
        now = replica.now()
        walked = self._pickers.walk(replica, request, now)
        times = [one.retry_at for one in walked.left if one.retry_at]
        return 0.0 if walked.tiers or not times else max(0, min(times) - now) / 1000

    def forget(self) -> None:
        """Whatever was planned does not hold any more."""
        self._pickers.clear()

    async def resolve(
        self, request: Request, *, exact: bool, key: object = None, known: Picker | None = None
    ) -> Any:  # a program's object
        """The instance that serves the request now, or None; next time found by ``key``."""
        pick = await self.admit(request, exact=exact, key=key, known=known, settles=False)
        if pick is None:
            return None
        if pick.permit is not None:
            one = pick.registration
            self._permits.keep(one.service_type, one.name, pick.permit, self.now(one.service_type))
        return pick.instance

    async def admit(
        self,
        request: Request,
        *,
        exact: bool,
        key: object = None,
        known: Picker | None = None,
        without: Collection[str] = (),
        left: list[Rejected] | None = None,
        settles: bool = True,
        position: int | None = None,
    ) -> Pick | None:
        """The first provider that may be called now, or None; next time found by ``key``.

        Whoever calls it ``settles`` what it was admitted with, unless only health checks are to do
        so: then it takes no slot. Providers ``without`` are passed over. Why each one was passed
        over is appended to ``left``, if that is given. Where the plan that is ``known`` holds and a
        ``position`` of its rotation has been taken, that is used.
        """
        store = await self._session.store()
        replica = self._views.replica(request.service_type)
        if self._write_queue.owed or (exact and self._write_queue.pending):
            await self._session.unless_away(self._write_queue.flush)
        known = known or self._pickers.known(request)
        picker, taken, position = await self._look(
            store, replica, request, known, position, exact=exact
        )
        if key is not None and picker is not known:
            self._pickers.remember(key, picker)
        if picker.pick and taken == picker.walk.cursor and not without:
            drawn = picker.at(position)
            if not settles or drawn.registration.max_in_flight is None:
                return drawn
        passed: list[Rejected] = [] if left is None else left
        passed += picker.walk.left
        for tier in picker.walk.tiers:
            for one in await self._in_order(store, request, tier, taken, position):
                if one.name in without:
                    continue
                try:
                    pick = await self._admission.admit(replica, one, passed, settles=settles)
                except StoreError as error:
                    self._complain(one, error)
                    passed.append(Rejected(one, "damaged"))
                    continue
                if pick is not None:
                    return pick
        return None

    async def _look(
        self,
        store: Store,
        replica: Replica,
        request: Request,
        known: Picker | None,
        position: int | None,
        *,
        exact: bool,
    ) -> tuple[Picker, str, int]:
        """The plan on a snapshot that may be relied on, and a position of the cursor it names."""
        if known is not None and position is not None:
            return known, known.walk.cursor, position
        if not exact and time.monotonic() < replica.fresh_until:
            return self._pickers.get(replica, request, known, replica.now()), "", 0
        # Which cursor this request moves hardly ever changes, so the sync takes the step along.
        taken = known.walk.cursor if known is not None and exact else ""
        sync = self._views.shared_sync(request.service_type)
        try:
            now, position = await sync.promptly(store, taken)
        except StoreUnavailableError:
            # A loop that only resolves must not keep from running what looks for Redis.
            await asyncio.sleep(0)
            return self._pickers.get(replica, request, known, replica.now()), "", 0
        if taken:
            self._round_robins.note(request.service_type, taken, position)
        return self._pickers.get(replica, request, known, now), taken, position

    async def explain(self, request: Request) -> list[Explanation]:
        """What ``resolve`` would do now with each registration; moves no cursor, asks no check."""
        store = await self._session.store()
        replica = self._views.replica(request.service_type)
        sync = self._views.shared_sync(request.service_type)
        await self._session.unless_away(self._write_queue.flush)
        try:
            now, _ = await sync.promptly(store)
        except StoreUnavailableError:
            now = replica.now()
        picker = self._pickers.walk(replica, request, now)
        told: list[Explanation] = []
        for tier in picker.tiers:
            order: Iterable[Registration] = tier.candidates
            if tier.cursor and tier.shared:
                position = await self._next(store, request, tier.cursor)
                order = tier.in_turn(position, self._load)
            for one in order:
                breaker = replica.breaker(one.name)
                reason = "in turn" if tier.cursor else "in order"
                if breaker is not None and breaker.needs_permit(now):
                    reason += ", if it gets the permit for a probe"
                if one.max_in_flight is not None:
                    reason += f", in a guarded call if one of its {one.max_in_flight} slots is free"
                verdict = "chosen" if not told else "next"
                told.append(Explanation(one.name, one.scope or "global", verdict, reason))
        return told + [Explanation.of_rejected(one, now) for one in picker.left]

    async def _next(self, store: Store, request: Request, cursor: str) -> int:
        """The position that the next resolve will take, without taking it."""
        if not self._exact:
            return self._round_robins.of(request.service_type, cursor).upcoming
        try:
            return await self._connectivity.promptly(
                store.cursors.take(request.service_type, cursor, 0)
            )
        except StoreUnavailableError:
            return 0

    def _complain(self, registration: Registration, error: StoreError) -> None:
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
            position = await self._round_robins.step(request.service_type, tier.cursor)
        elif tier.cursor != taken:
            position = await self._taken(store, request.service_type, tier.cursor)
        return tier.in_turn(position, self._load)

    def _load(self, one: Registration) -> int:
        return load(self._views.breaker(one.service_type, one.name))

    async def _taken(self, store: Store, service_type: str, cursor: str) -> int:
        try:
            # Not a call of its own: those who ask at the same time share one.
            _, position = await self._views.shared_sync(service_type).promptly(store, cursor)
        except StoreUnavailableError:
            return await self._round_robins.step(service_type, cursor)
        self._round_robins.note(service_type, cursor, position)
        return position
