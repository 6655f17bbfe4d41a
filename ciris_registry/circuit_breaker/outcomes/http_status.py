"""What an error means for its provider, by its facts: codes first, then words, then the status.

Codes count under any status, because an error inside a stream has the stream's status 200, and AWS,
Google and gateways send limits with 400 and 403.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.circuit_breaker.outcomes.classification import FAILURE, Classification
from ciris_registry.circuit_breaker.outcomes.provider_codes import (
    BILLING,
    FORBIDDEN,
    GENERAL,
    INVALID_KEY,
    OVERLOADED,
    QUOTA,
    RATE_LIMITED,
    REQUEST_TOO_LARGE,
    SPECIFIC,
    Fault,
    fault_of,
)
from ciris_registry.circuit_breaker.outcomes.provider_phrases import (
    fault_in_words,
    fault_named,
    is_long_period,
    scope_of,
)
from ciris_registry.circuit_breaker.outcomes.retry_after import Wait, wait_of

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes.http_errors import HTTPFacts

# Anthropic's status for a service that is overloaded by all of its callers.
_OVERLOADED: Final = 529
_BY_STATUS: Final[dict[int, Fault]] = {
    HTTPStatus.UNAUTHORIZED: INVALID_KEY,
    HTTPStatus.PAYMENT_REQUIRED: BILLING,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: REQUEST_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS: RATE_LIMITED,
}
# Where nothing else is known, and the provider says for how long.
_BY_STATUS_AND_WAIT: Final[dict[int, Fault]] = {
    0: RATE_LIMITED,
    HTTPStatus.SERVICE_UNAVAILABLE: OVERLOADED,
    _OVERLOADED: OVERLOADED,
}


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
    """Classify an error by its facts; without any, it is a failure.

    The wait that the provider asks for is the length of its cooldown, up to
    ``durations.longest``.
    """
    if not facts.is_known:
        return FAILURE
    fault, named = _fault_of(facts)
    limited = fault is not None and fault.kind == "cooldown"
    others = (*facts.waits, *facts.spoken)
    wait = wait_of(facts.headers, time.time(), limited=limited, others=others)
    # Words alone are no limit: a program's own error may have them.
    if fault is None and wait is not None and (facts.status or facts.waits):
        fault = _BY_STATUS_AND_WAIT.get(facts.status)
    if fault is None:
        reason = _status_in_words(facts)
        return Classification("ignored" if _is_the_callers(facts.status) else "failure", 0, reason)
    if fault.kind == "cooldown":
        return _cooldown(facts, fault, named, wait, durations)
    reason = ": ".join(filter(None, (_status_in_words(facts), named)))
    scope = scope_of(fault.code, facts.message, facts.codes) if fault.kind == "refused" else None
    return Classification(fault.kind, 0.0, reason, fault.code, scope or "provider")


def _fault_of(facts: HTTPFacts) -> tuple[Fault | None, str]:
    """The fault that the facts name, and the code or phrase that names it."""
    found = fault_of(facts.codes, SPECIFIC)
    if found is None and _is_the_callers(facts.status):
        found = fault_in_words(facts.message, facts.status)
    if found is None:
        found = fault_of(facts.codes, GENERAL)
    if found is None and facts.status == HTTPStatus.FORBIDDEN:
        if "retry-after" in facts.headers:
            return RATE_LIMITED, ""
        found = fault_named(facts.message) or (FORBIDDEN, "")
    return found or (_BY_STATUS.get(facts.status), "")


def _is_the_callers(status: int) -> bool:
    return (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        and status != HTTPStatus.REQUEST_TIMEOUT
    )


def _cooldown(
    facts: HTTPFacts, fault: Fault, named: str, wait: Wait | None, durations: CooldownDurations
) -> Classification:
    if fault is RATE_LIMITED and (
        any("perday" in code for code in facts.codes)
        or (wait is None and is_long_period(facts.message))
    ):
        fault, named = QUOTA, named or "of a day or a month"
    if fault is QUOTA:
        seconds = max(wait.seconds if wait is not None else 0.0, durations.quota)
        reason = f"a quota is used up: {named}"
    else:
        seconds = wait.seconds if wait is not None else durations.limited
        status = _status_in_words(facts)
        reason = ", ".join(filter(None, (status, wait.source if wait is not None else "")))
    scope = scope_of(fault.code, facts.message, facts.codes)
    return Classification("cooldown", min(seconds, durations.longest), reason, fault.code, scope)


def _status_in_words(facts: HTTPFacts) -> str:
    if facts.grpc:
        return f"gRPC {facts.grpc}"
    return f"HTTP {facts.status}" if facts.status else ""
