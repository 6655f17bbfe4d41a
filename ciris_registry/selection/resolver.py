"""One resolve: refresh the replica if needed, find the candidates, admit the first possible one.

Resolving is not a call: it records no outcomes except those of health checks.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final

from ciris_registry.errors import StoreError, StoreUnavailableError
from ciris_registry.selection.candidates import Rejected
from ciris_registry.selection.picker import load
from ciris_registry.store import flush_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ciris_registry.cache import Replica, Replicas, SingleFlights
    from ciris_registry.registration import Registration
    from ciris_registry.selection.admission import Admission
    from ciris_registry.selection.candidates import Request, Tier
    from ciris_registry.selection.pick import Pick
    from ciris_registry.selection.picker import Picker, Pickers
    from ciris_registry.selection.round_robin import RoundRobins
    from ciris_registry.shared_breaker import Breakers, HeldPermits
    from ciris_registry.store import Session, Store, WriteQueue

_log = logging.getLogger(__name__)

_ANY_POSITION: Final = 2**16

_MOST_REMEMBERED: Final = 10_000
"""The most rotations, and the most providers whose damage was logged; beyond it all are dropped."""


class Resolver:
    """Resolves requests to instances of this process.

    With ``exact``, resolves ask Redis each time by default.
    """

    def __init__(
        self,
        session: Session,
        write_queue: WriteQueue,
        replicas: Replicas,
        single_flights: SingleFlights,
        breakers: Breakers,
        permits: HeldPermits,
        pickers: Pickers,
        admission: Admission,
        round_robins: RoundRobins,
        unflushed: Collection[WriteQueue],
        *,
        exact: bool,
    ) -> None:
        self.exact = exact
        self._session = session
        self._write_queue = write_queue
        self._replicas = replicas
        self._single_flights = single_flights
        self._breakers = breakers
        self._permits = permits
        self._pickers = pickers
        self._admission = admission
        self._round_robins = round_robins
        self._unflushed = unflushed
        self._damaged: set[tuple[str, str]] = set()
        self._local_rotations: dict[tuple[str, str], itertools.count[int]] = {}

    def now(self, service_type: str) -> int:
        """The server's time in milliseconds, as this process estimates it."""
        return self._replicas.of(service_type).now()

    def registered_for(self, service_type: str) -> list[str]:
        """The handlers that the service type is registered for, as far as this process knows."""
        snapshot = self._replicas.of(service_type).snapshot
        return sorted({one.scope or "global" for one in snapshot.registrations})

    def soonest(self, request: Request) -> float:
        """Seconds until a provider may serve, as far as this process knows; 0: now."""
        replica = self._replicas.of(request.service_type)
        now = replica.now()
        candidates = self._pickers.candidates(replica, request, now)
        times = [one.retry_at for one in candidates.rejected if one.retry_at]
        return 0.0 if candidates.tiers or not times else max(0, min(times) - now) / 1000

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
        rejected: list[Rejected] | None = None,
        settles: bool = True,
        position: int | None = None,
    ) -> Pick | None:
        """The first provider that may be called now, or None; its picker is stored under ``key``.

        With ``settles``, the caller settles permit and slot; a mere resolve does not, and takes no
        slot. Providers in ``without`` are skipped. The other rejections are appended to
        ``rejected``. ``position`` is one that was taken of the ``known`` picker's round robin.
        """
        store = await self._session.store()
        write_queue = self._write_queue
        if self._unflushed or (exact and write_queue.pending):
            await flush_all(self._unflushed, write_queue, self._session)
        known = known or self._pickers.known(request)
        replica = known.replica if known is not None else self._replicas.of(request.service_type)
        picker, taken, position = await self._refreshed(
            store, replica, request, known, position, exact=exact
        )
        if key is not None and picker is not known:
            self._pickers.remember(key, picker)
        candidates = picker.candidates
        if picker.picks and taken == candidates.cursor and not without:
            pick = picker.pick_at(position)
            if not settles or pick.registration.max_in_flight is None:
                return pick
        passed: list[Rejected] = [] if rejected is None else rejected
        passed += candidates.rejected
        for tier in candidates.tiers:
            for one in await self._in_order(store, request, tier, taken, position):
                if one.name in without:
                    continue
                try:
                    admitted = await self._admission.admit(replica, one, passed, settles=settles)
                except StoreError as error:
                    self._warn_of_damage(one, error)
                    passed.append(Rejected(one, "damaged"))
                    continue
                if admitted is not None:
                    return admitted
        return None

    async def _refreshed(
        self,
        store: Store,
        replica: Replica,
        request: Request,
        known: Picker | None,
        position: int | None,
        *,
        exact: bool,
    ) -> tuple[Picker, str, int]:
        """A valid picker on a fresh replica, the cursor that was moved, and its position."""
        if known is not None and position is not None:
            return known, known.candidates.cursor, position
        replica.used_at = time.monotonic()
        if not exact and replica.used_at < replica.fresh_until:
            return self._pickers.get(replica, request, known, replica.now()), "", 0
        # The cursor of a request hardly ever changes, so the refresh moves it in the same call.
        taken = known.candidates.cursor if known is not None and exact else ""
        flight = self._single_flights.of(request.service_type)
        try:
            now, position = await flight.promptly(store, taken, exact=exact)
        except StoreError as error:
            self._warn_if_damaged(request.service_type, error)
            # A program that only resolves must let the tasks run that wait for Redis.
            await asyncio.sleep(0)
            return self._pickers.get(replica, request, known, replica.now()), "", 0
        if taken:
            self._round_robins.note(request.service_type, taken, position)
        return self._pickers.get(replica, request, known, now), taken, position

    async def _in_order(
        self, store: Store, request: Request, tier: Tier, taken: str, position: int
    ) -> Iterable[Registration]:
        if not tier.cursor:
            return tier.candidates
        kind = request.service_type
        if not tier.shared:
            position = self._turn(kind, tier.cursor)
        elif not taken and not self.exact:
            position = await self._round_robins.step(kind, tier.cursor)
        elif tier.cursor != taken:
            position = await self._step_exactly(store, kind, tier.cursor)
        return tier.in_turn(position, lambda one: load(self._breakers.of(kind, one.name)))

    def _turn(self, kind: str, cursor: str) -> int:
        """The next position of this process's own rotation."""
        rotation = self._local_rotations.get((kind, cursor))
        if rotation is None:
            if len(self._local_rotations) >= _MOST_REMEMBERED:
                self._local_rotations.clear()
            # Processes with rotations of their own must not all begin with the same provider.
            rotation = itertools.count(random.randrange(_ANY_POSITION))  # noqa: S311 # no secret
            self._local_rotations[kind, cursor] = rotation
        return next(rotation)

    async def _step_exactly(self, store: Store, kind: str, cursor: str) -> int:
        try:
            # Concurrent resolves share one script call.
            _, position = await self._single_flights.of(kind).promptly(store, cursor)
        except StoreError as error:
            self._warn_if_damaged(kind, error)
            return await self._round_robins.step(kind, cursor)
        self._round_robins.note(kind, cursor, position)
        return position

    def _warn_if_damaged(self, kind: str, error: StoreError) -> None:
        if not isinstance(error, StoreUnavailableError) and self._is_new(kind, ""):
            _log.warning("%s is resolved as last seen: %s", kind, error)

    def _warn_of_damage(self, registration: Registration, error: StoreError) -> None:
        kind, name = registration.service_type, registration.name
        if self._is_new(kind, name):
            _log.warning("%s of %s is rejected: %s", name, kind, error)

    def _is_new(self, kind: str, name: str) -> bool:
        """Whether this damage has not been logged yet."""
        if (kind, name) in self._damaged:
            return False
        if len(self._damaged) >= _MOST_REMEMBERED:
            self._damaged.clear()
        self._damaged.add((kind, name))
        return True
