"""Breakers of one service type as Redis last reported them, and when it did.

Decides which of two reports is the newer one, and keeps what can be restored if Redis loses it. A
local streak survives each report that does not change the breaker. What this process merely expects
is not here; the snapshot has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.cache.replica.server_clock import STEP
from ciris_registry.circuit_breaker import BreakerState
from ciris_registry.store import update_breaker, with_counters

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from ciris_registry.cache.replica.change import BreakerReport


class AuthoritativeBreakers:
    """Each breaker as it was reported, by name; times are the server's milliseconds."""

    __slots__ = ("_reported_at", "breakers")

    def __init__(self) -> None:
        self.breakers: dict[str, BreakerState] = {}
        self._reported_at: dict[str, int] = {}

    def weigh(self, known: BreakerState, report: BreakerReport, now: int) -> BreakerState | None:
        """The breaker after a report, where the snapshot has ``known``.

        ``known`` itself if the report is not newer. None if the report is damaged or its order is
        unknown.
        """
        name, at = report.name, report.at
        if "state" in report.fields:
            # A report has neither, and sharing them is safe: no state in a snapshot is modified.
            breaker = BreakerState(known.config, buckets=known.buckets, callers=known.callers)
            if update_breaker(breaker, report.fields):
                return None
        else:
            before = self.breakers.get(name)
            if before is None or str(before.generation) != report.fields["generation"]:
                return known  # the rest of that generation is not known here
            breaker = with_counters(before, report.fields)
            breaker.config = known.config
        if at < self._reported_at.get(name, 0):
            authoritative = self.breakers.get(name, known)
            # A generation orders reports also where the server's clock has stepped back.
            if breaker.generation <= authoritative.generation:
                return known if admit_alike(breaker, authoritative) else None
        before = self.breakers.get(name)
        if before is not None and is_older(breaker, before, now):
            return None  # Redis has lost what this process knows; a refresh restores it
        if known.permits and breaker.generation == known.generation:
            breaker.permits = known.permits.copy()
            breaker.permits.pop(report.settled, None)
        if report.permit is not None:
            breaker.permits[report.permit[0]] = report.permit[1]
        if known.local is not None:
            self._carry_local_streak(name, known, breaker, now)
        self.breakers[name] = breaker
        self._reported_at[name] = at if at <= now + STEP else now
        return breaker

    def take(self, name: str, known: BreakerState | None, breaker: BreakerState, now: int) -> None:
        """A breaker was read as it is, and takes the place of the one that is known."""
        if known is not None and known.local is not None:
            self._carry_local_streak(name, known, breaker, now)
        self.breakers[name] = breaker

    def take_all(
        self, known: Mapping[str, BreakerState], read: Mapping[str, BreakerState], now: int
    ) -> None:
        """All breakers were read as they are, and there are no others."""
        for name, one in known.items():
            if one.local is not None and name in read:
                self._carry_local_streak(name, one, read[name], now)
        self.breakers = dict(read)
        self._reported_at.clear()

    def forget_times(self) -> None:
        """The server's clock has stepped back: its earlier times order nothing any more."""
        self._reported_at.clear()

    def keep(self, names: Container[str]) -> None:
        """Drop all other breakers."""
        self.breakers = {name: one for name, one in self.breakers.items() if name in names}
        self._reported_at = {n: at for n, at in self._reported_at.items() if n in names}

    def _carry_local_streak(
        self, name: str, known: BreakerState, breaker: BreakerState, now: int
    ) -> None:
        """Keep this process's own streak beside the shared state, unless that has ended it."""
        if known.local is not None:
            breaker.local = known.local.beside(
                now,
                breaker.config,
                closed=breaker.state is breaker.state.CLOSED,
                changed_at=breaker.changed_at,
                known_before=name in self.breakers,
            )


def admit_alike(one: BreakerState, other: BreakerState) -> bool:
    """Whether all that decides who is admitted is the same in both, apart from permits."""
    return (
        one.generation == other.generation
        and one.state is other.state
        and one.retry_at == other.retry_at
        and one.cooldown_until == other.cooldown_until
        and one.override == other.override
        and one.override_until == other.override_until
        and (one.local is other.local or _open_locally(one) == _open_locally(other))
    )


def is_older(one: BreakerState, known: BreakerState, now: int) -> bool:
    """Whether Redis has lost the ``known`` state of a breaker, if it has this one after it.

    Within one life of the breaker the generation says so. Another life is older only if the known
    one refuses calls: a breaker that is not used for long expires.
    """
    if one.born == known.born:
        if one.generation == known.generation:
            return known.born > 0 and known.cooldown_until > max(now, one.cooldown_until)
        return one.generation < known.generation
    if one.changed_at == known.changed_at:
        return known.cooldown_until > max(now, one.cooldown_until)
    refuses = refuses_calls(known) or known.cooldown_until > now
    return refuses and one.changed_at < known.changed_at


def refuses_calls(breaker: BreakerState) -> bool:
    """Whether a breaker is not simply closed, or was forced into a state."""
    return breaker.state is not breaker.state.CLOSED or bool(breaker.override)


def _open_locally(breaker: BreakerState) -> tuple[int, int]:
    local = breaker.local
    return (local.until, local.trial_until) if local is not None else (0, 0)
