"""One line of an explanation: why a registration is chosen or left out."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """What a resolve would do with one registration, and why.

    ``scope`` is the handler, ``*`` or ``global``. ``verdict`` is ``chosen``, ``next`` or ``left
    out``. ``retry_after`` is the number of seconds until that may change, None if it is unknown.
    """

    name: str
    scope: str
    verdict: str
    reason: str
    retry_after: float | None = None
