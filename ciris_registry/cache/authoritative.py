"""Breakers of one service type as Redis last told them, and when it did.

So it is known here which of two things that were told is the newer one, and what can be put back
should Redis lose it. A process's own streak stands beside what is told, until that ends it. It
refuses to foresee anything: what Redis is expected to answer is in the snapshot, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.cache.server_clock import STEP
from ciris_registry.cache.snapshot import admit_alike
from ciris_registry.circuit_breaker import BreakerState
from ciris_registry.store import update_breaker

if TYPE_CHECKING:
    from collections.abc import Container, Mapping


class AuthoritativeBreakers:
    """Each breaker as it was told, by name; times are the server's milliseconds."""

    __slots__ = ("_told_at", "breakers")

    def __init__(self) -> None:
        self.breakers: dict[str, BreakerState] = {}
        self._told_at: dict[str, int] = {}

    def weigh(
        self,
        name: str,
        known: BreakerState,
        at: int,
        fields: Mapping[str, str],
        now: int,
        permit: tuple[str, int] | None = None,
    ) -> BreakerState | None:
        """The breaker after it was told at the time ``at`` that it is so; with a permit just had.

        That is ``known``, what is in the snapshot, itself if it was told nothing new; None if it
        cannot be read, or nobody can tell what it means.
        """
        # Neither is told, and to share them is safe: nobody changes what is in a snapshot.
        breaker = BreakerState(known.config, buckets=known.buckets, callers=known.callers)
        if update_breaker(breaker, fields):
            return None
        if at < self._told_at.get(name, 0):
            authoritative = self.breakers.get(name, known)
            # A generation tells old from new also where the server's clock has stepped back.
            if breaker.generation <= authoritative.generation:
                return known if admit_alike(breaker, authoritative) else None
        if known.permits and breaker.generation == known.generation:
            breaker.permits = known.permits.copy()
        if permit is not None:
            breaker.permits[permit[0]] = permit[1]
        self.take(name, known, breaker, now)
        self._told_at[name] = at if at <= now + STEP else now
        return breaker

    def take(self, name: str, known: BreakerState | None, breaker: BreakerState, now: int) -> None:
        """A breaker was read as it is, and is going to be in the place of the one that is known."""
        if known is not None and known.own is not None:
            self._carry(name, known, breaker, now)
        self.breakers[name] = breaker

    def take_all(
        self, known: Mapping[str, BreakerState], read: Mapping[str, BreakerState], now: int
    ) -> None:
        """All were read as they are, and there are no others."""
        for name, one in known.items():
            if one.own is not None and name in read:
                self._carry(name, one, read[name], now)
        self.breakers = dict(read)
        self._told_at.clear()

    def forget_times(self) -> None:
        """The server's clock has stepped back: none that it told says what is older than what."""
        self._told_at.clear()

    def keep(self, names: Container[str]) -> None:
        """Forget all others."""
        self.breakers = {name: one for name, one in self.breakers.items() if name in names}
        self._told_at = {name: at for name, at in self._told_at.items() if name in names}

    def _carry(self, name: str, known: BreakerState, breaker: BreakerState, now: int) -> None:
        """Keep this process's own streak beside what is shared, unless that has ended it."""
        if known.own is not None:
            breaker.own = known.own.beside(breaker, now, told_before=name in self.breakers)
