"""A pick: a provider that may be called now, and what the outcome of that call settles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.registration import Registration
    from ciris_registry.selection.concurrency_limit import Slot
    from ciris_registry.shared_breaker import HeldPermit, SharedBreaker


class Pick(NamedTuple):
    """The instance to call, for at most ``seconds``.

    ``permit`` is what was taken for a probe. ``generation`` is that of the breaker that admits the
    call, None if this process knows none. ``classify`` is the policy that the provider was
    registered with here. ``slot`` is what was taken where the fleet's calls in flight are limited.
    """

    registration: Registration
    instance: Any
    breaker: SharedBreaker
    seconds: float
    generation: int | None = None
    permit: HeldPermit | None = None
    classify: Classify | None = None
    slot: Slot | None = None
