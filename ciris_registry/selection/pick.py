"""A pick: a provider that may be called now, and what the call must settle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.registration import Registration
    from ciris_registry.selection.concurrency_limit import Slot
    from ciris_registry.shared_breaker import HeldPermit, SharedBreaker


class Pick(NamedTuple):
    """The instance to call, for at most ``seconds``.

    ``generation`` is that of the breaker that admits the call, None if this process knows none.
    ``permit`` is that of a probe. ``classify`` is the policy of the registration in this process.
    ``slot`` is that of a registration with ``max_in_flight``.
    """

    registration: Registration
    instance: Any
    breaker: SharedBreaker
    seconds: float
    generation: int | None = None
    permit: HeldPermit | None = None
    classify: Classify | None = None
    slot: Slot | None = None
