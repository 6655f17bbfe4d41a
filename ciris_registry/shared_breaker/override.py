"""An operator's word over a breaker: it is forced open or closed, cleared, or reset.

Owns that the word counts here on the next line and is written in order, or everywhere before
anybody goes on. It refuses to lose one: while Redis is away, it waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ciris_registry.circuit_breaker import length_or_ever

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Store

Override = Literal["", "open", "closed"]
"""The state that is forced; the empty string takes it away."""


class Overrides:
    """What operators say here."""

    def __init__(self, writes: BreakerWrites, parts: Parts) -> None:
        self._writes = writes
        self._session = parts.session
        self._connectivity = parts.connectivity
        self._permits = parts.permits

    def force(
        self,
        shared: SharedBreaker,
        override: Override,
        reason: str = "",
        duration: float | None = None,
    ) -> None:
        """Force a state, for ``duration`` seconds or until another word."""
        length, by = length_or_ever(duration), self._session.process
        shared.apply_optimistically(
            lambda breaker, now: breaker.set_override(now, override, reason, by, length)
        )
        self._writes.later(
            shared,
            "an override",
            lambda store: self._writes.override(shared, store, override, reason, length),
        )

    async def aforce(
        self,
        shared: SharedBreaker,
        override: Override,
        reason: str = "",
        duration: float | None = None,
    ) -> None:
        """Force a state; it is in Redis when this returns."""
        length = length_or_ever(duration)
        await self._surely(
            shared, lambda store: self._writes.override(shared, store, override, reason, length)
        )

    def reset(self, shared: SharedBreaker, reason: str) -> None:
        """Close it and forget what it counted."""
        self._permits.forget(*shared.key)
        shared.apply_optimistically(lambda breaker, now: breaker.reset(now))
        self._writes.later(shared, "a reset", lambda store: self._reset(shared, store, reason))

    async def areset(self, shared: SharedBreaker, reason: str) -> None:
        """Close it; it is in Redis when this returns."""
        await self._surely(shared, lambda store: self._reset(shared, store, reason))

    async def _reset(self, shared: SharedBreaker, store: Store, reason: str) -> None:
        self._permits.forget(*shared.key)
        await self._writes.reset(shared, store, reason)

    async def _surely(
        self, shared: SharedBreaker, write: Callable[[Store], Awaitable[object]]
    ) -> None:
        """Write when everything before it is written; wait for Redis if it is away."""
        store = await self._session.store()
        shared.known()  # what is not known here takes over no answer

        async def attempt() -> None:
            self._connectivity.check()
            await self._writes.flush()
            await write(store)

        await self._connectivity.patiently(attempt)
