"""The candidates of a request: the providers that may serve it, in order, and the rejected ones.

A pure function of a snapshot, a request and a time: no I/O, no clock, no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.names import EVERY_HANDLER, GLOBAL
from ciris_registry.registration import Registration, SelectionStrategy
from ciris_registry.selection.weighting import least_loaded, rotated, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ciris_registry.cache import Snapshot
    from ciris_registry.circuit_breaker import BreakerState, Refusal

NOT_BOUND: Final = "no binding here: this process has no instance and no factory for it"
NOT_GLOBAL: Final = "a global registration, and the request does not fall back to them"


class Request(NamedTuple):
    """The arguments of a resolve, checked."""

    handler: str
    service_type: str
    capabilities: frozenset[str] = frozenset()
    fallback_to_global: bool = True


class Rejected(NamedTuple):
    """A rejected provider, and why; ``retry_at`` is 0 if it does not depend on time."""

    registration: Registration
    reason: str
    retry_at: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """Providers of equal rank.

    Without a ``cursor`` they are tried in order, else in the order of the ``strategy`` at the
    cursor's position. ``shared`` says whether that position is the fleet's: a process that can use
    only some of the providers has a rotation of its own.
    """

    candidates: tuple[Registration, ...]
    cursor: str = ""
    shared: bool = True
    strategy: SelectionStrategy = SelectionStrategy.FALLBACK

    def in_turn(
        self, position: int, load: Callable[[Registration], float]
    ) -> Iterator[Registration]:
        """The candidates in the order of a position; ``load`` gives the load of a candidate."""
        if self.strategy is SelectionStrategy.WEIGHTED:
            return weighted(self.candidates, [one.weight for one in self.candidates], position)
        if self.strategy is SelectionStrategy.LEAST_LOADED:
            loads = [load(one) / one.weight for one in self.candidates]
            return least_loaded(self.candidates, loads, position)
        return rotated(self.candidates, position)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tiers of a request, first to last, and the providers that were rejected.

    Both are valid from ``since`` until ``until``, times of the server's clock; 0 means without end.
    ``cursor`` is the fleet's cursor that the request moves, empty if it moves none.
    """

    tiers: tuple[Tier, ...]
    rejected: tuple[Rejected, ...]
    since: int = 0
    until: int = 0
    cursor: str = ""


def find_candidates(
    snapshot: Snapshot,
    request: Request,
    bound: Callable[[Registration], bool],
    now: int,
    *,
    always_use_last_provider: bool = False,
) -> Candidates:
    """Sort a service type's registrations into candidates and rejected ones.

    ``now`` is the server's time. With ``always_use_last_provider``, the only provider of the
    service type is used during its cooldown too.
    """
    kept = (
        snapshot.registrations[0].name if always_use_last_provider and _is_alone(snapshot) else ""
    )
    tiers: list[Tier] = []
    rejected: list[Rejected] = []
    for scope in (request.handler, EVERY_HANDLER, GLOBAL):
        in_scope = [one for one in snapshot.registrations if one.scope == scope]
        if scope == GLOBAL and not request.fallback_to_global:
            rejected += [Rejected(one, NOT_GLOBAL) for one in in_scope]
            continue
        for _, group in groupby(in_scope, key=lambda one: one.priority_group):
            members = list(group)
            strategy = members[0].strategy
            if strategy is not SelectionStrategy.FALLBACK:
                for _, equals in groupby(members, key=lambda one: one.priority):
                    tier = _rotating(
                        strategy,
                        list(equals),
                        request,
                        snapshot.breakers,
                        bound,
                        now,
                        rejected,
                        kept,
                    )
                    tiers += [tier] if tier.candidates else []
            else:
                usable = _usable(members, request, snapshot.breakers, bound, now, rejected, kept)
                tiers += [Tier(tuple(usable))] if usable else []
    changes = [breaker.changes_at(now) for breaker in snapshot.breakers.values()]
    until = min((time for time in changes if time), default=0)
    cursor = tiers[0].cursor if tiers and tiers[0].shared else ""
    return Candidates(tuple(tiers), tuple(rejected), now, until, cursor)


def _refusal(breaker: BreakerState, now: int, *, keep: bool) -> Refusal | None:
    """Why the breaker admits no call; with ``keep``, its cooldown does not count."""
    if keep and breaker.cooldown_until > now:
        breaker = replace(breaker, cooldown_until=0)
    return breaker.refusal(now)


def _is_alone(snapshot: Snapshot) -> bool:
    return len({one.name for one in snapshot.registrations}) == 1


def _rotating(  # what finding candidates knows
    strategy: SelectionStrategy,
    equals: Sequence[Registration],
    request: Request,
    breakers: Mapping[str, BreakerState],
    bound: Callable[[Registration], bool],
    now: int,
    rejected: list[Rejected],
    kept: str,
) -> Tier:
    usable = _usable(equals, request, breakers, bound, now, rejected, kept)
    capable = [one for one in equals if request.capabilities.issubset(one.capabilities)]
    if len(capable) == 1 or not usable:
        return Tier(tuple(usable))
    first = equals[0]
    cursor = f"{first.scope}|{first.priority_group}|{first.priority.value}"
    if len(capable) < len(equals):
        # Requests for different capabilities rotate among different providers. On one cursor, two
        # that alternate would each get the same provider every time.
        cursor += "|" + ",".join(sorted(request.capabilities))
    shared = all(bound(one) for one in capable)
    return Tier(tuple(usable), cursor, shared, strategy)


def _usable(  # what finding candidates knows
    registrations: Sequence[Registration],
    request: Request,
    breakers: Mapping[str, BreakerState],
    bound: Callable[[Registration], bool],
    now: int,
    rejected: list[Rejected],
    kept: str,
) -> list[Registration]:
    usable: list[Registration] = []
    for one in registrations:
        lacking = request.capabilities.difference(one.capabilities)
        breaker = breakers.get(one.name)
        refusal = _refusal(breaker, now, keep=one.name == kept) if breaker is not None else None
        if lacking:
            rejected.append(Rejected(one, f"lacks {', '.join(sorted(lacking))}"))
        elif not bound(one):
            rejected.append(Rejected(one, NOT_BOUND))
        elif refusal is not None and refusal.reason != "half_open":
            rejected.append(Rejected(one, refusal.reason, refusal.retry_at))
        else:
            usable.append(one)
    return usable
