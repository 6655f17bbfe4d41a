"""What to answer to a request, worked out once for each state of the snapshot.

A plan is a look-up as long as nothing that it rests on has changed: the snapshot's shape, the
bindings, and the time at which the next breaker's wait ends. Where the first provider in order can
be called without asking anybody, or one of several in turn, ``take`` gives it. Slots are not its
business.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.registration import SelectionStrategy
from ciris_registry.selection.candidates import Candidates, Request, Tier, walk
from ciris_registry.selection.health_checks import health_check_of
from ciris_registry.selection.pick import Pick
from ciris_registry.selection.weighting import least_loaded_first, weighted_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ciris_registry.cache import Replica
    from ciris_registry.membership import Bindings
    from ciris_registry.selection.round_robin import RoundRobin, RoundRobins
    from ciris_registry.shared_breaker import SharedBreaker
    from ciris_registry.views import Views

_MOST_PLANS: Final = 10_000
"""Programs may make up handler names; what is remembered of them has an end."""

_monotonic = time.monotonic


class Picker:
    """The walk of one request, and those whom it lets be called without asking anybody."""

    __slots__ = (
        "_bindings",
        "_replica",
        "bindings",
        "chosen",
        "pick",
        "request",
        "round_robin",
        "shape",
        "until",
        "walk",
    )

    def __init__(
        self, replica: Replica, bindings: Bindings, request: Request, walk: Candidates
    ) -> None:
        self.request = request
        self.walk = walk
        self.shape = replica.shape
        self.bindings = bindings.version
        self.until = replica.clock.monotonic_at(walk.until) if walk.until else math.inf
        self.pick: tuple[Pick, ...] = ()
        self.round_robin: RoundRobin | None = None
        self.chosen: Callable[[int], int] | None = None
        self._replica = replica
        self._bindings = bindings

    def holds(self, now: int) -> bool:
        """Whether nothing that it rests on has changed, at the server's time ``now``."""
        return (
            self.shape == self._replica.shape
            and self.bindings == self._bindings.version
            and _monotonic() < self.until
            and self.walk.holds(now)
        )

    @property
    def position(self) -> int:
        """The position of its rotation that was taken last; 0 if it has none."""
        return self.round_robin.next - 1 if self.round_robin is not None else 0

    def take(self) -> Pick | None:
        """The one whose turn it is; None if somebody has to be asked first.

        It has no slot: a guarded call of one with ``max_in_flight`` asks for that.
        """
        replica = self._replica
        now = _monotonic()
        if (
            now >= replica.fresh_until
            or now >= self.until
            or self.shape != replica.shape
            or self.bindings != self._bindings.version
            or not self.pick
        ):
            return None
        if self.round_robin is None:
            return self.pick[0]
        position = self.round_robin.step()
        if position < 0:
            return None
        if self.chosen is None:
            return self.pick[position % len(self.pick)]
        return self.pick[self.chosen(position)]

    def at(self, position: int) -> Pick:
        """The one whose turn it is at a position of its rotation."""
        if self.chosen is None:
            return self.pick[position % len(self.pick)]
        return self.pick[self.chosen(position)]


class Pickers:
    """The plans of one process."""

    def __init__(self, views: Views, bindings: Bindings, round_robins: RoundRobins) -> None:
        self.quick: dict[object, Picker] = {}
        self._views = views
        self._bindings = bindings
        self._round_robins = round_robins
        self._pickers: dict[Request, Picker] = {}

    def known(self, request: Request) -> Picker | None:
        """The plan of a request, whether it still holds or not."""
        return self._pickers.get(request)

    def get(self, replica: Replica, request: Request, known: Picker | None, now: int) -> Picker:
        """The plan of a request: what is ``known``, or another if that rests on what has changed.

        ``now`` is the server's time.
        """
        if known is not None and known.holds(now):
            return known
        if len(self._pickers) >= _MOST_PLANS:
            self.clear()
        walked = self.walk(replica, request, now)
        picker = self._pickers[request] = Picker(replica, self._bindings, request, walked)
        if walked.tiers:
            self._prepare(picker, replica, request.service_type, walked.tiers[0], now)
        return picker

    def walk(self, replica: Replica, request: Request, now: int) -> Candidates:
        """Who may serve a request, as far as is known here at the server's time ``now``."""
        always_use_last_provider = self._views.parts.always_use_last_provider
        return walk(
            replica.snapshot,
            request,
            self._bindings.has,
            now,
            always_use_last_provider=always_use_last_provider,
        )

    def remember(self, key: object, picker: Picker) -> None:
        """Find this plan by what the caller said, as it stands."""
        if len(self.quick) >= _MOST_PLANS:
            self.quick.clear()
        self.quick[key] = picker

    def clear(self) -> None:
        """Forget everything."""
        self.quick.clear()
        self._pickers.clear()

    def _prepare(self, picker: Picker, replica: Replica, kind: str, tier: Tier, now: int) -> None:
        """Let those be called without asking anybody of whom none needs to be asked."""
        if tier.cursor and not tier.shared:
            return
        concerned = tier.candidates if tier.cursor else tier.candidates[:1]
        found: list[Pick] = []
        for one in concerned:
            breaker = replica.snapshot.breakers.get(one.name)
            binding = self._bindings.find(one)
            instance = binding.held if binding is not None else None
            if (
                binding is None
                or instance is None
                or (breaker is not None and breaker.needs_permit(now))
                or health_check_of(instance) is not None
            ):
                return
            shared = self._views.breaker(kind, one.name)
            seconds = shared.config.timeout_duration
            generation = breaker.generation if breaker is not None else None
            found.append(Pick(one, instance, shared, seconds, generation, None, binding.classify))
        picker.pick = tuple(found)
        if tier.cursor:
            picker.round_robin = self._round_robins.of(kind, tier.cursor)
            picker.chosen = _chosen(tier.strategy, found)


def _chosen(strategy: SelectionStrategy, candidates: Sequence[Pick]) -> Callable[[int], int] | None:
    """Which of several is called at a position of their rotation; None: each as often."""
    weights = [one.registration.weight for one in candidates]
    if strategy is SelectionStrategy.WEIGHTED:
        return weighted_first(weights)
    if strategy is not SelectionStrategy.LEAST_LOADED:
        return None
    breakers = [one.shared for one in candidates]
    weighed = list(zip(breakers, weights, strict=True))
    if all(one.registration.max_in_flight is None for one in candidates):
        # As `load` has it, without asking about others.
        if len(set(weights)) == 1:
            return lambda position: least_loaded_first(
                [shared.in_flight for shared in breakers], position
            )
        return lambda position: least_loaded_first(
            [shared.in_flight / weight for shared, weight in weighed], position
        )
    return lambda position: least_loaded_first(
        [load(shared) / weight for shared, weight in weighed], position
    )


def load(shared: SharedBreaker) -> int:
    """The calls of a provider that are in flight, as far as is known here.

    Those are this process's own, and what slots have told of others a moment ago.
    """
    if shared.elsewhere and _monotonic() < shared.elsewhere_until:
        return shared.in_flight + shared.elsewhere
    return shared.in_flight


def key_of(
    handler: object, service_type: object, capabilities: Sequence[str] | None, fallback: object
) -> object:
    """What a caller said, as a key; None if it cannot be one."""
    if capabilities is not None:
        if capabilities.__class__ is not list and capabilities.__class__ is not tuple:
            return None
        capabilities = tuple(capabilities)
    return handler, service_type, capabilities, fallback
