"""Explaining a resolve: what it would do with each registration, and why.

It runs no health check, takes no permit and moves no round robin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.errors import StoreError
from ciris_registry.explanation import Explanation, Verdict
from ciris_registry.selection.picker import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ciris_registry.cache import Replicas, SingleFlights
    from ciris_registry.registration import Registration
    from ciris_registry.selection.candidates import Rejected, Request
    from ciris_registry.selection.picker import Pickers
    from ciris_registry.selection.round_robin import RoundRobins
    from ciris_registry.shared_breaker import Breakers
    from ciris_registry.store import Session, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity


class Explainer:
    """Explains resolves of one process."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        replicas: Replicas,
        single_flights: SingleFlights,
        breakers: Breakers,
        pickers: Pickers,
        round_robins: RoundRobins,
        *,
        exact: bool,
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._replicas = replicas
        self._single_flights = single_flights
        self._breakers = breakers
        self._pickers = pickers
        self._round_robins = round_robins
        self._exact = exact

    async def explain(self, request: Request) -> list[Explanation]:
        """One explanation for each registration of the service type, the chosen one first."""
        store = await self._session.store()
        kind = request.service_type
        replica = self._replicas.of(kind)
        await self._session.unless_away(self._write_queue.flush)
        try:
            now, _ = await self._single_flights.of(kind).promptly(store)
        except StoreError:
            now = replica.now()
        candidates = self._pickers.candidates(replica, request, now)
        found: list[Explanation] = []
        for tier in candidates.tiers:
            order: Iterable[Registration] = tier.candidates
            if tier.cursor and tier.shared:
                position = await self._upcoming(store, kind, tier.cursor)
                order = tier.in_turn(position, lambda one: load(self._breakers.of(kind, one.name)))
            for one in order:
                known = replica.breaker(one.name)
                reason = "in turn" if tier.cursor else "in order"
                if known is not None and known.needs_permit(now):
                    reason += ", if it gets the permit for a probe"
                if one.max_in_flight is not None:
                    reason += f", in a guarded call if one of its {one.max_in_flight} slots is free"
                verdict = Verdict.NEXT if found else Verdict.CHOSEN
                found.append(Explanation(one.name, one.scope or "global", verdict, reason))
        return found + [explanation_of(one, now) for one in candidates.rejected]

    async def _upcoming(self, store: Store, kind: str, cursor: str) -> int:
        """The position that the next resolve will use, without taking it."""
        if not self._exact:
            return self._round_robins.of(kind, cursor).upcoming
        try:
            looking = store.snapshots.take_positions(kind, cursor, 0)
            return await self._connectivity.within_timeout(looking)
        except StoreError:
            return 0


def explanation_of(rejected: Rejected, now: int) -> Explanation:
    """The explanation of a rejected provider, at the server's time ``now``."""
    wait = max(0, rejected.retry_at - now) / 1000 if rejected.retry_at else None
    one = rejected.registration
    return Explanation(one.name, one.scope or "global", Verdict.REJECTED, rejected.reason, wait)
