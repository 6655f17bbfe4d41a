"""The replies of the scripts, as the store returns them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.circuit_breaker import ReplyCode

Version = tuple[str, str]
"""Epoch and revision of a service type's data, as Redis has them."""

NOTHING: Final[Version] = ("", "0")
"""The version of a service type that Redis does not have."""


class Synced(NamedTuple):
    """Whether a replica is still true at the server's time ``now``, and the positions taken."""

    now: int
    positions: list[int]
    changed: tuple[Version, dict[str, float]] | None = None


class Loaded(NamedTuple):
    """One service type as Redis has it: records by registration id, breakers by name.

    ``moved``: it changed while it was read; some keys are later than the version asked for.
    """

    now: int
    records: dict[str, dict[str, str]]
    breakers: dict[str, dict[str, str]]
    permits: dict[str, dict[str, int]]
    callers: dict[str, dict[str, int]]
    moved: bool = False


class Registered(NamedTuple):
    """The code ``registered``, ``joined`` or ``changed``, and what was changed.

    ``configure``: the breaker has other settings. ``versions`` are those of the service type before
    and after the call, ``processes`` is the number of processes in the partition.
    """

    code: str
    order: float
    configure: bool
    before: str
    before_actor: str
    fields: str
    versions: tuple[Version, Version]
    processes: int


class Beat(NamedTuple):
    """What a heartbeat found.

    ``rejoin``: Redis has lost registrations of this process. ``expired`` is the number of leases of
    others that are over, ``processes`` that of all leases, ``losses`` how
    often Redis has lost who holds a registration. ``checks`` are the service types in
    which this process has to look for lost data.
    """

    rejoin: bool
    now: int
    expired: int
    processes: int
    losses: str
    versions: dict[str, Version]
    checks: list[str]


class Checked(NamedTuple):
    """What a look for lost data found.

    ``lost`` are ids and names; ``orphans`` has, by holder without a lease, what it holds.
    ``moved``: the version was another one, and nothing was looked at.
    """

    lost: tuple[str, ...] = ()
    orphans: Mapping[str, list[str]] = MappingProxyType({})
    moved: bool = False


class SlotReply(NamedTuple):
    """The code ``taken``, ``full`` or ``unlimited``.

    ``taken`` is the number of slots taken. ``retry_at`` is the time at which the slot of a holder
    that seems to be dead will be free, 0 if there is none.
    """

    code: str
    taken: int = 0
    retry_at: int = 0


class BatchedSuccesses(NamedTuple):
    """Successes of one breaker that this process counted, the newest ``age`` milliseconds ago.

    ``generation`` is the one that admitted them, None if it is not known.
    """

    name: str
    successes: int
    age: int
    generation: int | None = None


class OfflineMerge(NamedTuple):
    """The outcomes that a process counted for one breaker while Redis was away.

    ``generation`` is the shared one that it last knew, ``streak`` the number of failures since its
    last success (all of them, if there was none), ``opened`` whether its own breaker is open now.
    In milliseconds: ``cooldown`` is the rest of a cooldown, ``age`` the age of the last success,
    ``wait`` the time until its open breaker admits a probe.
    """

    generation: int
    successes: int
    failures: int
    streak: int
    opened: bool = False
    cooldown: int = 0
    age: int = 0
    wait: int = 0


class BreakerReply(NamedTuple):
    """The reply of a breaker script: its code, and the breaker's state after it.

    Without a ``state``, the fields are the generation and what changes within one.
    """

    code: ReplyCode
    now: int
    fields: Mapping[str, str]
