"""Why a registration is chosen or left out, in words and seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ciris_registry.selection import Rejected


class Explanation(NamedTuple):
    """What a resolve would do with one registration, and why.

    ``scope`` is the handler, ``*`` or ``global``; ``verdict`` is ``chosen``, ``next`` or ``left
    out``; ``retry_after`` is the number of seconds until that might change, None if nobody knows.
    """

    name: str
    scope: str
    verdict: str
    reason: str
    retry_after: float | None = None

    @classmethod
    def of_rejected(cls, left: Rejected, now: int) -> Explanation:
        """Of one that was left out, at the server's time ``now``."""
        wait = max(0, left.retry_at - now) / 1000 if left.retry_at else None
        one = left.registration
        return cls(one.name, one.scope or "global", "left out", left.reason, wait)
