"""What the words of a refusal mean, where its code is that of any invalid request.

Messages are in lower case. Words count only in a refusal (HTTP 4xx), because other errors may quote
the text of a user, and each phrase only under the statuses that it was seen with.
"""

from __future__ import annotations

import re
from typing import Final

from ciris_registry.circuit_breaker.outcomes.classification import Scope, usual_scope
from ciris_registry.circuit_breaker.outcomes.fault_code import FaultCode
from ciris_registry.circuit_breaker.outcomes.provider_codes import (
    ACCOUNT_DISABLED,
    BILLING,
    CONTEXT_TOO_LONG,
    FORBIDDEN,
    INVALID_KEY,
    NO_PERMISSION,
    NO_SUCH_MODEL,
    QUOTA,
    RATE_LIMITED,
    REQUEST_TOO_LARGE,
    UNSUPPORTED,
    UNSUPPORTED_REGION,
    Fault,
)

_REFUSALS: Final = frozenset({400, 401, 403, 404, 410, 422})
_LIMITS: Final = frozenset({400, 402, 403, 429})
_SIZES: Final = frozenset({400, 403, 413, 422})
_LONGEST: Final = 1_000
_LONGEST_SENTENCE: Final = 500

_PHRASES: Final[tuple[tuple[Fault, frozenset[int], tuple[str, ...]], ...]] = (
    (
        QUOTA,
        _LIMITS,
        (
            "reached your specified api usage limits",
            "reached your specified workspace api usage limits",
            "calls / month",
            "monthly spending limit",
            "monthly usage limit",
        ),
    ),
    (QUOTA, frozenset({403}), ("quota exceeded", "exceeded your quota")),
    (
        RATE_LIMITED,
        frozenset({400, 403}),
        ("rate limit exceeded", "secondary rate limit", "too many requests"),
    ),
    (
        BILLING,
        _LIMITS,
        (
            "credit balance is too low",
            "insufficient balance",
            "insufficient credits",
            "prepayment credits are depleted",
            "requires billing to be enabled",
            "account is not active, please check your billing",
        ),
    ),
    (
        CONTEXT_TOO_LONG,
        _SIZES,
        (
            "context length",
            "context window",
            "context size",
            "prompt is too long",
            "input is too long",
            "too many input tokens",
            "too many tokens: total number of tokens",
            "too many tokens: size limit",
            "input token count",
            "input length and `max_tokens` exceed",
            "maximum input length",
            "must have less than",
            "tokens + `max_new_tokens` must be",
        ),
    ),
    (
        CONTEXT_TOO_LONG,
        frozenset({429}),
        ("tokens must be reduced in order to run", "extra usage is required for long context"),
    ),
    (REQUEST_TOO_LARGE, frozenset({400, 413, 429}), ("request too large", "payload size exceeds")),
    (
        UNSUPPORTED_REGION,
        _REFUSALS,
        (
            "location is not supported",
            "country, region, or territory not supported",
            "not available in your country",
            "not available in your region",
            "not supported in your region",
            "not supported in this region",
            "not available in this region",
            "free tier is not available in your country",
            "not allowed from unsupported countries",
        ),
    ),
    (
        ACCOUNT_DISABLED,
        _REFUSALS,
        (
            "account deactivated",
            "account is deactivated",
            "account has been deactivated",
            "account has been disabled",
            "account has been suspended",
            "account is disabled",
            "account is suspended",
            "account is not active",
            "organization has been disabled",
            "organization has been restricted",
            "organization is disabled",
            "has not been used in project",
            "project has been suspended",
        ),
    ),
    (
        INVALID_KEY,
        _REFUSALS,
        (
            "api key not valid",
            "api key is not valid",
            "api key is invalid",
            "api key expired",
            "api key has expired",
            "api key was reported as leaked",
            "incorrect api key",
            "invalid api key",
            "invalid api token",
            "invalid subscription key",
            "no api key",
            "missing api key",
            "security token included in the request is",
            "unregistered callers",
        ),
    ),
    (FORBIDDEN, frozenset({403}), ("flagged", "moderation", "content policy", "guardrail")),
    (
        UNSUPPORTED,
        frozenset({400, 404, 422}),
        (
            "does not support",
            "doesn't support",
            "do not support",
            "no endpoints found",
            "not supported with this model",
            "not supported by this model",
            "not supported by model",
            "is not supported by the model",
            "is not a multimodal model",
            "is not enabled for this model",
            "extra inputs are not permitted",
            "requires --enable-auto-tool-choice",
            "unsupported parameter",
            "unrecognized request argument",
            "max_tokens is too large",
            "max tokens must be less than or equal",
            "maximum number of output tokens",
            "maximum allowed number of output tokens",
        ),
    ),
)
# A model, at most eight words, and what it lacks; or that, and then the model.
_NO_MODEL: Final = re.compile(
    r"(?:models?|deployment|inference profile)\b(?!\.[a-z])(?:\S*+\s++){0,8}?"
    r"(?:not found|(?:does|do|did) ?n[o']t exist|not exist|no longer available|decommissioned"
    r"|retired|is deprecated|reached the end of its life|marked by provider as legacy"
    r"|is not available|is not accessible|on-demand throughput"
    r"|(?:do|does)(?:n[o']t| not) have access|not be found|has been removed|not supported for)"
    r"|model (?:identifier|id|name) is invalid"
    r"|(?:unknown|invalid|no such|could not find|cannot find|unable to find|resolve|access to)"
    r" (?:the |a )?(?:[a-z]+ )?(?:model|deployment)\b"
    r"(?! (?:parameter|input|output|response|request|argument|config|setting|option|field))"
    r"|not a valid (?:model|deployment)"
    r"|^model: \S+$"
    r"|must be verified to use the model",
    re.MULTILINE,
)
_WITHOUT: Final = (
    "not found",
    "exist",
    "no longer",
    "decommission",
    "retired",
    "deprecated",
    "end of its life",
    "legacy",
    "not available",
    "not accessible",
    "invalid",
    "on-demand",
    "have access",
    "unknown",
    "be found",
    "removed",
    "not supported",
    "no such",
    "find",
    "resolve",
    "access to",
    "not a valid",
    "model: ",
    "must be verified",
)
"""Parts of each phrase of ``_NO_MODEL``: they are sought first, because that is fast."""
# What a 403 may name besides; that of a firewall names none.
_NAMED: Final = re.compile(
    r"\b(?:(?:api[ _-]?)?key|(account|organization|project|workspace"
    r"|subscription)|(regions?|country|location)|(models?|deployment)|permissions?"
    r"|not authorized)\b"
)
_URL: Final = re.compile(r"https?://\S+")
_A_MODEL: Final = re.compile(
    r"\b(?:model|deployment|inference profile)|\bfor [`'\"]?[a-z0-9.:/_]+-[a-z0-9.:/_-]+[`'\"]? in "
)
_AN_ACCOUNT: Final = re.compile(
    r"\b(?:account|organi[sz]ation|project|workspace|subscription|tenant|api key|trial key)"
)
_LONG_PERIODS: Final = ("per day", "per month", "-per-day", "/ day", "/ month", "daily", "monthly")


def fault_in_words(message: str, status: int) -> tuple[Fault, str] | None:
    """The fault that the words of a refusal name, and the phrase that does."""
    message = message[:_LONGEST]
    for fault, statuses, phrases in _PHRASES:
        if fault is UNSUPPORTED and status in _REFUSALS and _has_no_model(message):
            return NO_SUCH_MODEL, "the model"
        if status in statuses:
            for phrase in phrases:
                if phrase in message:
                    return fault, phrase
    return None


def _has_no_model(message: str) -> bool:
    return (
        ("model" in message or "deployment" in message or "inference profile" in message)
        and any(part in message for part in _WITHOUT)
        and _NO_MODEL.search(message[:_LONGEST_SENTENCE]) is not None
    )


def fault_named(message: str) -> tuple[Fault, str] | None:
    """What the message of a 403 without a known code refuses; None if it names nothing."""
    if message.lstrip().startswith("<"):  # a page of a firewall
        return None
    found = _NAMED.search(_URL.sub("", message[:_LONGEST]))
    if found is None:
        return None
    _, region, _ = found.groups()
    return UNSUPPORTED_REGION if region else NO_PERMISSION, found[0]


def scope_of(code: str, message: str, codes: frozenset[str]) -> Scope:
    """Whom a fault concerns: what names a model is the provider's, even if it names an account."""
    if code in {FaultCode.INVALID_KEY, FaultCode.ACCOUNT_DISABLED, FaultCode.BILLING}:
        return "account"
    if code == FaultCode.NO_SUCH_MODEL or any("permodel" in one for one in codes):
        return "provider"
    text = _URL.sub("", message[:_LONGEST])
    if _A_MODEL.search(text):
        return "provider"
    return "account" if _AN_ACCOUNT.search(text) else usual_scope(code)


def is_long_period(message: str) -> bool:
    """Whether a limit is one of a day or a month."""
    return any(phrase in message for phrase in _LONG_PERIODS)
