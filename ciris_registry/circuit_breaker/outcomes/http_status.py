"""What an HTTP error means for its provider: 429 is a cooldown, 4xx is ignored, 5xx is a failure.

A pure function of the HTTP facts of an error. Codes of a body count beside its status, because an
error inside a stream has the stream's status 200.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.circuit_breaker.outcomes.classification import FAILURE, Classification
from ciris_registry.circuit_breaker.outcomes.quota import exhausted_quota
from ciris_registry.circuit_breaker.outcomes.retry_after import wait_of

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes.http_errors import HTTPFacts

# Anthropic's status for a service that is overloaded by all of its callers.
_OVERLOADED: Final = 529
# An error inside a stream has the stream's status 200; AWS uses 400 for most of these codes.
_SLOW_DOWN: Final = frozenset(
    {
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limit_reached_error",
        "provisionedthroughputexceededexception",
        "requestlimitexceeded",
        "throttling",
        "throttlingexception",
        "toomanyrequestsexception",
    }
)


class CooldownDurations(NamedTuple):
    """Lengths of cooldowns, in seconds.

    ``limited`` is for a provider that limits its callers (HTTP 429) without a wait of its own;
    ``quota`` is the shortest for one whose quota is used up. No cooldown is longer than
    ``longest``.
    """

    limited: float
    quota: float
    longest: float


def by_http_facts(facts: HTTPFacts, durations: CooldownDurations) -> Classification:
    """Classify an error by its HTTP facts; without any, it is a failure.

    The wait that the provider asks for is the length of its cooldown, up to
    ``durations.longest``.
    """
    quota = exhausted_quota(facts)
    slow_down = facts.codes & _SLOW_DOWN
    if not facts.status and not quota and not slow_down:
        return FAILURE
    status, reason = facts.status, f"HTTP {facts.status}"
    too_many = status == HTTPStatus.TOO_MANY_REQUESTS
    wait = wait_of(facts.headers, time.time(), limited=too_many)
    seconds = wait.seconds if wait is not None else 0.0
    if quota:
        longer = max(seconds, durations.quota)
        return _cooldown(longer, f"a quota is used up: {quota}", durations)
    if too_many or (status <= HTTPStatus.BAD_REQUEST and slow_down):
        seconds = seconds or durations.limited
    elif status not in {HTTPStatus.SERVICE_UNAVAILABLE, _OVERLOADED}:
        seconds = 0.0
    if seconds:
        reason += f", {wait.header}" if wait is not None else ""
        return _cooldown(seconds, reason, durations)
    is_the_callers = (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        and status != HTTPStatus.REQUEST_TIMEOUT
    )
    return Classification("ignored" if is_the_callers else "failure", reason=reason)


def _cooldown(seconds: float, reason: str, durations: CooldownDurations) -> Classification:
    return Classification("cooldown", min(seconds, durations.longest), reason)
