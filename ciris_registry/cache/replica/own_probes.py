"""What this process has probed alone while Redis was away, kept until both agree again.

Else rereading the shared state would drop this process's permit and its later wait, and the process
would grant itself a second probe if Redis went away again. Once both agree, the shared state leads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.circuit_breaker import BreakerState


class OwnProbes:
    """The breakers of one replica that are kept more careful than the shared state."""

    __slots__ = ("_names", "agreed")

    def __init__(self, *, agreed: bool) -> None:
        self.agreed = agreed
        self._names: set[str] = set()

    def over(
        self, known: Mapping[str, BreakerState], read: Mapping[str, BreakerState], now: int
    ) -> Mapping[str, BreakerState]:
        """Each breaker that was ``read``, with what this process has probed of it."""
        if self.agreed:
            return read
        return {
            name: self.keep(name, known[name], shared, now) if name in known else shared
            for name, shared in read.items()
        }

    def keep(self, name: str, known: BreakerState, shared: BreakerState, now: int) -> BreakerState:
        """The shared state, with the permits that are out and the later wait of this process."""
        if shared.state is shared.state.CLOSED:
            return shared
        permits = {one: end for one, end in known.permits.items() if end > now}
        later = known.state is known.state.OPEN and known.retry_at > shared.retry_at
        if not later and permits.keys() <= shared.permits.keys():
            return shared
        self._names.add(name)
        kept = shared.copy()
        kept.permits = {**permits, **shared.permits}
        if later:
            kept.state, kept.retry_at = known.state, known.retry_at
        return kept

    def agree(
        self, known: Mapping[str, BreakerState], shared: Mapping[str, BreakerState]
    ) -> dict[str, BreakerState]:
        """The breakers that are as shared again, with their local streaks."""
        names, self._names = self._names, set()
        return {
            name: replace(shared[name], local=known[name].local)
            for name in names
            if name in shared and name in known
        }
