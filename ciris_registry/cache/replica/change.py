"""The kinds of change that a replica applies: what Redis reported, and what this process expects.

Only values; ``Replica.apply`` decides what each of them changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.cache.replica.snapshot import Snapshot
    from ciris_registry.circuit_breaker import BreakerState
    from ciris_registry.registration import Registration
    from ciris_registry.store import Version


class FullState(NamedTuple):
    """Everything of a service type, as Redis had it at its time ``at``."""

    read: Snapshot
    at: int


class BreakerReport(NamedTuple):
    """The state of one breaker as a script or an event reported it, at the server's time ``at``.

    Without a ``state``, the fields are the generation and what changes within one. ``permit`` is
    one that this process has just been granted, with its deadline; ``settled`` is one that it has
    just settled. ``version`` is the one that the change made, where no other change lies between it
    and the replica's.
    """

    name: str
    at: int
    fields: Mapping[str, str]
    permit: tuple[str, int] | None = None
    settled: str = ""
    version: Version | None = None


class BreakerRead(NamedTuple):
    """All keys of one breaker as they were read, counters and permits too."""

    name: str
    fields: Mapping[str, str]
    permits: Mapping[str, int]
    callers: Mapping[str, int]


class ExpectedBreaker(NamedTuple):
    """The state that this process expects Redis to report, applied optimistically."""

    name: str
    breaker: BreakerState


class LocalEdit(NamedTuple):
    """The snapshot after this process registered or unregistered something."""

    snapshot: Snapshot


class RegistrationReport(NamedTuple):
    """A registration as Redis has it, with its breaker's fields if the fleet has just got it.

    ``version`` is the one that the change made; no other change lies between it and the replica's.
    """

    registration: Registration
    breaker: Mapping[str, str]
    version: Version


class RegistrationGone(NamedTuple):
    """A registration was removed; ``version`` as above."""

    registration_id: str
    version: Version


class BreakerForgotten(NamedTuple):
    """A breaker was forgotten on purpose; ``version`` as above, None if this process knows none."""

    name: str
    version: Version | None = None


Change: TypeAlias = (
    BreakerReport
    | ExpectedBreaker
    | FullState
    | BreakerRead
    | LocalEdit
    | RegistrationReport
    | RegistrationGone
    | BreakerForgotten
)
