"""One line of an explanation: why a registration is chosen or rejected."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What a resolve would do with a registration; each member equals its text."""

    CHOSEN = "chosen"
    NEXT = "next"
    """It is called if those before it fail."""

    REJECTED = "rejected"


class Explanation(NamedTuple):
    """What a resolve would do with one registration, and why.

    ``scope`` is the handler, ``*`` or ``global``. ``verdict`` is ``chosen``, ``next`` or
    ``rejected``. ``retry_after`` is the number of seconds until that may change, None if it is
    unknown.
    """

    name: str
    scope: str
    verdict: Verdict
    reason: str
    retry_after: float | None = None
