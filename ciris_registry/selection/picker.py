"""Pickers: the providers for a request, computed once for each state of the replica.

A picker is valid until the shape of the replica or the bindings change, or the next breaker's wait
ends. While it is valid, ``pick`` is a look-up without I/O; it returns None if Redis or a health
check has to be asked. A picker takes no slots.
"""

from __future__ import annotations

import math
import time
from itertools import islice
from typing import TYPE_CHECKING, Final

from ciris_registry.registration import SelectionStrategy
from ciris_registry.selection.candidates import Candidates, Request, Tier, find_candidates
from ciris_registry.selection.health_checks import health_check_of
from ciris_registry.selection.pick import Pick
from ciris_registry.selection.weighting import least_loaded_first, weighted_first

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ciris_registry.cache import Replica
    from ciris_registry.membership import Bindings
    from ciris_registry.registration import Registration
    from ciris_registry.selection.round_robin import RoundRobin, RoundRobins
    from ciris_registry.shared_breaker import Breakers, SharedBreaker

_MOST_PICKERS: Final = 10_000
"""Programs may use any number of handler names; beyond this number, all pickers are dropped."""

_MOST_IN_ORDER: Final = 8
"""Candidates of a FALLBACK order that a picker prepares; after them the resolver is asked."""

_monotonic = time.monotonic


class Picker:
    """The candidates of one request, and those that may be called without I/O.

    With a ``round_robin``, its position chooses among ``picks``, all of one tier. Without it,
    ``picks`` are the first candidates in order.
    """

    __slots__ = (
        "_bindings",
        "_bindings_version",
        "_shape",
        "_until",
        "candidates",
        "choose",
        "picks",
        "replica",
        "request",
        "round_robin",
    )

    def __init__(
        self, replica: Replica, bindings: Bindings, request: Request, candidates: Candidates
    ) -> None:
        self.request = request
        self.replica = replica
        self.candidates = candidates
        self.picks: tuple[Pick, ...] = ()
        self.round_robin: RoundRobin | None = None
        self.choose: Callable[[int], int] | None = None
        self._bindings = bindings
        self._bindings_version = bindings.version
        self._shape = replica.shape
        until = candidates.until
        self._until = replica.clock.monotonic_at(until) if until else math.inf

    def holds(self, now: int) -> bool:
        """Whether the picker is valid at the server's time ``now``."""
        return (
            self._shape == self.replica.shape
            and self._bindings_version == self._bindings.version
            and _monotonic() < self._until
            and self.candidates.since <= now
            and (not self.candidates.until or now < self.candidates.until)
        )

    @property
    def position(self) -> int:
        """The position of its round robin that was used last; 0 if it has none."""
        return self.round_robin.next - 1 if self.round_robin is not None else 0

    def pick(self) -> Pick | None:
        """The next pick; None if Redis or a health check has to be asked.

        It has no slot: the call of a provider with ``max_in_flight`` takes one itself.
        """
        replica, now = self.replica, _monotonic()
        if (
            now >= replica.fresh_until
            or now >= self._until
            or self._shape != replica.shape
            or self._bindings_version != self._bindings.version
            or not self.picks
        ):
            return None
        replica.used_at = now
        if self.round_robin is None:
            return self.picks[0]
        position = self.round_robin.step()
        return self.picks[self._index(position)] if position >= 0 else None

    def pick_at(self, position: int) -> Pick:
        """The pick at a position of its round robin."""
        return self.picks[self._index(position)] if self.round_robin is not None else self.picks[0]

    def pick_after(self, tried: Collection[str]) -> Pick | None:
        """The first pick in order that was not ``tried``; None if the resolver has to be asked."""
        replica, now = self.replica, _monotonic()
        if (
            self.round_robin is not None
            or now >= min(replica.fresh_until, self._until)
            or self._shape != replica.shape
            or self._bindings_version != self._bindings.version
        ):
            return None
        for pick in self.picks:
            if pick.registration.name not in tried:
                return pick if pick.registration.max_in_flight is None else None
        return None

    def _index(self, position: int) -> int:
        return position % len(self.picks) if self.choose is None else self.choose(position)


class Pickers:
    """The pickers of one process.

    With ``always_use_last_provider``, a service type's only provider is used in its cooldown too.
    """

    def __init__(
        self,
        breakers: Breakers,
        bindings: Bindings,
        round_robins: RoundRobins,
        *,
        always_use_last_provider: bool,
    ) -> None:
        self._by_key: dict[object, Picker] = {}
        self._by_request: dict[Request, Picker] = {}
        self._breakers = breakers
        self._bindings = bindings
        self._round_robins = round_robins
        self._always_use_last_provider = always_use_last_provider

    def find(self, key: object) -> Picker | None:
        """The picker of a caller's arguments, valid or not."""
        try:
            return self._by_key.get(key)
        except TypeError:
            return None  # not hashable, so not a valid request; its check raises the error

    def known(self, request: Request) -> Picker | None:
        """The picker of a request, valid or not."""
        return self._by_request.get(request)

    def get(self, replica: Replica, request: Request, known: Picker | None, now: int) -> Picker:
        """The picker of a request: the ``known`` one, or a new one if that is not valid.

        ``now`` is the server's time.
        """
        if known is not None and known.holds(now):
            return known
        if len(self._by_request) >= _MOST_PICKERS:
            self.clear()
        candidates = self.candidates(replica, request, now)
        picker = Picker(replica, self._bindings, request, candidates)
        self._by_request[request] = picker
        if candidates.tiers:
            self._prepare(picker, candidates.tiers, now)
        return picker

    def candidates(self, replica: Replica, request: Request, now: int) -> Candidates:
        """The candidates of a request by the replica, at the server's time ``now``."""
        return find_candidates(
            replica.snapshot,
            request,
            self._bindings.has,
            now,
            always_use_last_provider=self._always_use_last_provider,
        )

    def remember(self, key: object, picker: Picker) -> None:
        """Make ``find`` return this picker for a caller's arguments."""
        if len(self._by_key) >= _MOST_PICKERS:
            self._by_key.clear()
        self._by_key[key] = picker

    def clear(self) -> None:
        """Drop all pickers."""
        self._by_key.clear()
        self._by_request.clear()

    def _prepare(self, picker: Picker, tiers: Sequence[Tier], now: int) -> None:
        """Prepare the picks that need no I/O; those of a round robin all or none."""
        first = tiers[0]
        if not first.cursor:
            ahead = islice(_in_order(tiers), _MOST_IN_ORDER)
            picks: list[Pick] = []
            for one in ahead:
                pick = self._pick(picker.replica, one, now)
                if pick is None:
                    break
                picks.append(pick)
            picker.picks = tuple(picks)
        elif first.shared:
            rotated = [self._pick(picker.replica, one, now) for one in first.candidates]
            found = [pick for pick in rotated if pick is not None]
            if len(found) == len(rotated):
                picker.picks = tuple(found)
                picker.choose = _chooser(first.strategy, found)
                picker.round_robin = self._round_robins.of(
                    picker.replica.service_type, first.cursor
                )

    def _pick(self, replica: Replica, one: Registration, now: int) -> Pick | None:
        """A candidate as a pick; None if it needs a permit, a factory call or a health check."""
        known = replica.snapshot.breakers.get(one.name)
        binding = self._bindings.find(one)
        instance = binding.held if binding is not None else None
        if (
            binding is None
            or instance is None
            or (known is not None and known.needs_permit(now))
            or health_check_of(instance) is not None
        ):
            return None
        breaker = self._breakers.of(replica.service_type, one.name)
        seconds = breaker.config.timeout_duration
        generation = known.generation if known is not None else None
        return Pick(one, instance, breaker, seconds, generation, None, binding.classify)


def _in_order(tiers: Sequence[Tier]) -> Iterable[Registration]:
    """The candidates of the first tiers that have no cursor, in order."""
    for tier in tiers:
        if tier.cursor:
            return
        yield from tier.candidates


def _chooser(
    strategy: SelectionStrategy, candidates: Sequence[Pick]
) -> Callable[[int], int] | None:
    """The function from a position to the index of a pick; None: evenly, in order."""
    weights = [one.registration.weight for one in candidates]
    if strategy is SelectionStrategy.WEIGHTED:
        return weighted_first(weights)
    if strategy is not SelectionStrategy.LEAST_LOADED:
        return None
    breakers = [one.breaker for one in candidates]
    weighed = list(zip(breakers, weights, strict=True))
    if all(one.registration.max_in_flight is None for one in candidates):
        # As `load`, but without limits there are no calls of other processes to add.
        if len(set(weights)) == 1:
            return lambda position: least_loaded_first(
                [breaker.in_flight for breaker in breakers], position
            )
        return lambda position: least_loaded_first(
            [breaker.in_flight / weight for breaker, weight in weighed], position
        )
    return lambda position: least_loaded_first(
        [load(breaker) / weight for breaker, weight in weighed], position
    )


def load(breaker: SharedBreaker) -> int:
    """The calls of a provider in flight, as far as this process knows.

    These are its own calls, and those of other processes by the last reply to ``slot_take``.
    """
    if breaker.elsewhere and _monotonic() < breaker.elsewhere_until:
        return breaker.in_flight + breaker.elsewhere
    return breaker.in_flight


def key_of(
    handler: object, service_type: object, capabilities: Collection[str] | None, fallback: object
) -> object:
    """A caller's arguments as a key; None if the capabilities are neither list nor tuple."""
    if capabilities is not None:
        if capabilities.__class__ is not list and capabilities.__class__ is not tuple:
            return None
        capabilities = tuple(capabilities)
    return handler, service_type, capabilities, fallback
