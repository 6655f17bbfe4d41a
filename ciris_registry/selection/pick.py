"""A provider that may be called now, and what the outcome of that call settles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.registration import Registration
    from ciris_registry.selection.concurrency_limit import Slot
    from ciris_registry.shared_breaker import Held, SharedBreaker


class Pick(NamedTuple):
    """The instance to call, for at most ``seconds``.

    Where it is a probe, ``permit`` is what was taken for it. ``generation`` is the one of the
    breaker that let it through, None if this process has not seen any. ``classify`` is what the
    program that registered it here says of its outcomes. ``slot`` is what was taken for it where
    the fleet's calls in flight are limited.
    """

    registration: Registration
    instance: Any
    shared: SharedBreaker
    seconds: float
    generation: int | None = None
    permit: Held | None = None
    classify: Classify | None = None
    slot: Slot | None = None
