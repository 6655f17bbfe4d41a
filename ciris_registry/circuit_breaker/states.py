"""The words in which a breaker is asked and told, and in which it answers.

Here and in Redis they are the same. What they lead to, the rules say.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple

Outcome = Literal["success", "failure", "released"]

UNTRACKED: Final = "untracked"
"""In place of a permit: the caller has none, but was told that the breaker is available."""


class CircuitState(StrEnum):
    """The three states of a circuit breaker, as in the in-process CIRIS registry."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class ReplyCode(StrEnum):
    """The first word of what a breaker answers."""

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
    MISSING = "missing"


class Refusal(NamedTuple):
    """Why nobody is admitted now, and the time when somebody might be; 0 if nobody knows."""

    reason: Literal["open", "half_open", "cooling_down", "forced_open", "open_locally"]
    retry_at: int


class Admission(NamedTuple):
    """The answer to one who asks for admission."""

    code: ReplyCode
    refusal: Refusal | None = None
    permit: str = ""
    deadline: int = 0
