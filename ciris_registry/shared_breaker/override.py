"""An operator's override of a breaker: forced open or closed, cleared, or reset.

``force`` acts here at once and is queued; it stays in the queue while Redis is away. ``aforce``
returns when Redis has it, and raises if Redis is away for ``settings.write_timeout``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ciris_registry.circuit_breaker import length_or_ever

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.permits import HeldPermits
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Session, Store
    from ciris_registry.store.connection import Connectivity

Override = Literal["", "open", "closed"]
"""The state that is forced; the empty string clears it."""


class Overrides:
    """The overrides and resets that this process makes."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        permits: HeldPermits,
        writes: BreakerWrites,
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._permits = permits
        self._writes = writes

    def force(
        self,
        breaker: SharedBreaker,
        override: Override,
        reason: str = "",
        duration: float | None = None,
    ) -> None:
        """Force a state, for ``duration`` seconds or until the next override."""
        length, actor = length_or_ever(duration), self._session.process
        breaker.apply_optimistically(
            lambda state, now: state.set_override(now, override, reason, actor, length)
        )
        self._writes.later(
            breaker,
            "an override",
            lambda store: self._writes.override(breaker, store, override, reason, length),
        )

    async def aforce(
        self,
        breaker: SharedBreaker,
        override: Override,
        reason: str = "",
        duration: float | None = None,
    ) -> None:
        """Force a state; it is in Redis when this returns."""
        length = length_or_ever(duration)
        await self._write(
            lambda store: self._writes.override(breaker, store, override, reason, length)
        )

    def reset(self, breaker: SharedBreaker, reason: str) -> None:
        """Close it and forget its counters."""
        self._permits.forget(*breaker.key)
        breaker.apply_optimistically(lambda state, now: state.reset(now))
        self._writes.later(breaker, "a reset", lambda store: self._reset(breaker, store, reason))

    async def areset(self, breaker: SharedBreaker, reason: str) -> None:
        """Close it; it is in Redis when this returns."""
        await self._write(lambda store: self._reset(breaker, store, reason))

    async def _reset(self, breaker: SharedBreaker, store: Store, reason: str) -> None:
        self._permits.forget(*breaker.key)
        await self._writes.reset(breaker, store, reason)

    async def _write(self, write: Callable[[Store], Awaitable[object]]) -> None:
        """Write after every earlier write; wait for Redis if it is away."""
        store = await self._session.store()

        async def attempt() -> None:
            self._connectivity.require()
            await self._writes.flush()
            await write(store)

        await self._connectivity.retrying(attempt)
