"""The states, outcomes and reply codes of a breaker, the same here as in Redis."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple

Outcome = Literal["success", "failure", "released"]
Override = Literal["", "open", "closed"]

UNTRACKED: Final = "untracked"
"""In place of a permit: the caller holds none, but ``is_available`` returned True before."""


class CircuitState(StrEnum):
    """The three states of a circuit breaker, as in the in-process CIRIS registry."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class ReplyCode(StrEnum):
    """The first word of a breaker's reply."""

    ADMITTED = "admitted"
    PERMIT = "permit"
    REFUSED = "refused"
    OPENED = "opened"
    CLOSED = "closed"
    COUNTED = "counted"
    STALE = "stale"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    CREATED = "created"
    RESTORED = "restored"
    FORGOTTEN = "forgotten"
    KEPT = "kept"
    MISSING = "missing"


class Refusal(NamedTuple):
    """Why no call is admitted, and the time when one may be; 0 if that is unknown.

    ``reason`` is ``open``, ``half_open``, ``cooling_down``, ``forced_open``, ``open_locally``, or
    ``held: `` and a fault code.
    """

    reason: str
    retry_at: int


class Admission(NamedTuple):
    """The reply to a request for admission; ``permit`` and ``deadline`` are those of a probe."""

    code: ReplyCode
    refusal: Refusal | None = None
    permit: str = ""
    deadline: int = 0
