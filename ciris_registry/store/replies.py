"""What the scripts answer, as the store hands it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.circuit_breaker import ReplyCode

Version = tuple[str, str]
"""Epoch and revision of a service type's data, as Redis has them; compared for equality only."""

NOTHING: Final[Version] = ("", "0")
"""The version of a service type that Redis knows nothing of."""


class Synced(NamedTuple):
    """Whether a copy is still true, by the server's clock ``now``, and the positions taken."""

    now: int
    expired: int
    positions: list[int]
    changed: tuple[Version, dict[str, float]] | None = None


class Loaded(NamedTuple):
    """One service type as Redis has it: fields by registration id, what breakers have by name."""

    now: int
    members: dict[str, int]
    records: dict[str, dict[str, str]]
    breakers: dict[str, dict[str, str]]
    permits: dict[str, dict[str, int]]
    callers: dict[str, dict[str, int]]


class Registered(NamedTuple):
    """How a registration ended: ``registered``, ``joined`` or ``changed``, and what it changed."""

    word: str
    before: str = ""
    before_actor: str = ""
    fields: tuple[str, ...] = ()


class Renewed(NamedTuple):
    """What a heartbeat found: the version, how many leases have expired, and what is lost."""

    now: int
    version: Version
    expired: int
    lost: tuple[str, ...]


class SlotReply(NamedTuple):
    """Whether a slot was had: ``taken``, ``full`` or ``unlimited``.

    ``taken`` is how many are. ``retry_at`` is when the slot of a holder that seems to be dead will
    be free, 0 if there is none.
    """

    word: str
    taken: int = 0
    retry_at: int = 0


class BatchedSuccesses(NamedTuple):
    """Successes of one breaker that were counted here, the newest ``age`` milliseconds ago.

    ``generation`` is the one that admitted them, None if it is not known.
    """

    name: str
    successes: int
    age: int
    generation: int | None = None


class OfflineMerge(NamedTuple):
    """What a process learned of one breaker while Redis was away.

    ``generation`` is the shared one that it last knew, ``streak`` the number of failures since its
    last success (all of them, if it saw none), ``opened`` whether its own breaker is open now,
    ``cooldown`` what is left of a cooldown that it was told, and ``age`` how long ago that last
    success was. ``wait`` is what is left until that breaker, open, lets a probe through. All three
    are in milliseconds.
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
    """A breaker script's answer: its verdict, and the breaker's state after it."""

    code: ReplyCode
    now: int
    fields: Mapping[str, str]
