"""Whether a provider refuses because a quota is used up: money, credits or a budget, not a rate.

A short wait does not help then: the account must be paid, or a new month must begin. Most codes are
from OpenAI's list of error codes; ``billing_error`` is Anthropic's, ``quota_exceeded`` ElevenLabs',
``exceeded_current_quota_error`` Moonshot's. The phrases are Anthropic's, which sends them with the
code of an invalid request.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes.http_errors import HTTPFacts

_CODES: Final = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "credit_balance_exhausted",
    "credit_balance_too_low",
    "exceeded_current_quota_error",
    "insufficient_balance",
    "insufficient_credits",
    "organization_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "payment_required",
    "project_spend_limit_exceeded",
    "quota_exceeded",
)
# Phrases of no other refusal. "You exceeded your current quota" is not among them: Gemini uses it
# for a limit per minute, and OpenAI sends a code with it.
_PHRASES: Final = (
    "credit balance is too low",
    "reached your specified api usage limits",
    "reached your specified workspace api usage limits",
)
_REFUSALS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
)


def exhausted_quota(facts: HTTPFacts) -> str:
    """The code, status or phrase that shows an exhausted quota; empty if there is none.

    Phrases count only in a refusal, because other errors may quote text of a user.
    """
    for code in _CODES:
        if code in facts.codes:
            return code
    if facts.status == HTTPStatus.PAYMENT_REQUIRED:
        return "HTTP 402"
    if facts.status in _REFUSALS:
        return next((phrase for phrase in _PHRASES if phrase in facts.message), "")
    return ""
