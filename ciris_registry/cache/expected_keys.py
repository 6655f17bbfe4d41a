"""The keys that Redis should have, as far as this process knows.

A key that has outlived its retention is gone on purpose.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ciris_registry.registration import UNWRITTEN

if TYPE_CHECKING:
    from ciris_registry.cache.replica import Replica
    from ciris_registry.circuit_breaker import BreakerState


def expected_registrations(replica: Replica) -> list[str]:
    """The ids of the registrations that are known to be in Redis."""
    return [one.id for one in replica.snapshot.registrations if one.order < UNWRITTEN]


def expected_breakers(replica: Replica, retention: float) -> list[str]:
    """The breakers of these registrations, and those that still refuse calls.

    ``retention`` is in seconds.
    """
    written = [one.name for one in replica.snapshot.registrations if one.order < UNWRITTEN]
    return list(dict.fromkeys([*written, *_refusing(replica, retention)]))


def _refusing(replica: Replica, retention: float) -> list[str]:
    now = replica.now()
    known = ((one, replica.authoritative(one)) for one in replica.snapshot.not_closed(now))
    return [
        name
        for name, breaker in known
        if breaker is not None and _kept_until(breaker, retention) > now
    ]


def _kept_until(breaker: BreakerState, retention: float) -> float:
    """The time until which Redis keeps a breaker at least."""
    if breaker.override and not breaker.override_until:
        return math.inf
    last = max(breaker.retry_at, breaker.cooldown_until, breaker.override_until)
    return last + retention * 1000
