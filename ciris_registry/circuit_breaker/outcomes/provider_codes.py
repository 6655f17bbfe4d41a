"""What the error codes of providers mean: one table for all, because a code names its meaning.

Codes are in lower case with ``_`` between words; those of AWS, Azure and Google's older services
are one word. The sources are with the rows of ``tests/…/outcomes/provider_errors.py``, from which
``docs/reference/provider-errors.md`` is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.circuit_breaker.outcomes.fault_code import FaultCode

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.outcomes.classification import Kind


class Fault(NamedTuple):
    """A kind of classification and its fault code."""

    kind: Kind
    code: str


QUOTA: Final = Fault("cooldown", FaultCode.QUOTA)
BILLING: Final = Fault("refused", FaultCode.BILLING)
CONTENT_FILTER: Final = Fault("ignored", FaultCode.CONTENT_FILTER)
INVALID_KEY: Final = Fault("refused", FaultCode.INVALID_KEY)
ACCOUNT_DISABLED: Final = Fault("refused", FaultCode.ACCOUNT_DISABLED)
UNSUPPORTED_REGION: Final = Fault("refused", FaultCode.UNSUPPORTED_REGION)
NO_SUCH_MODEL: Final = Fault("refused", FaultCode.NO_SUCH_MODEL)
NO_PERMISSION: Final = Fault("refused", FaultCode.NO_PERMISSION)
CONTEXT_TOO_LONG: Final = Fault("unfit", FaultCode.CONTEXT_TOO_LONG)
REQUEST_TOO_LARGE: Final = Fault("unfit", FaultCode.REQUEST_TOO_LARGE)
UNSUPPORTED: Final = Fault("unfit", FaultCode.UNSUPPORTED)
FORBIDDEN: Final = Fault("unfit", FaultCode.FORBIDDEN)
OF_THE_REQUEST: Final = Fault("ignored", "")
FAILED: Final = Fault("failure", "")
OVERLOADED: Final = Fault("cooldown", FaultCode.OVERLOADED)
RATE_LIMITED: Final = Fault("cooldown", FaultCode.RATE_LIMITED)

SPECIFIC: Final[tuple[tuple[Fault, frozenset[str]], ...]] = (
    (
        QUOTA,
        frozenset(
            {
                "insufficient_quota",
                "enforced_spend_limit_reached",
                "exceeded_current_quota_error",
                "organization_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
                "project_spend_limit_exceeded",
                "quota_exceeded",
                "quotaexceeded",
                "dailylimitexceeded",
                "servicequotaexceededexception",
                "usage_limit_reached",
            }
        ),
    ),
    (
        BILLING,
        frozenset(
            {
                "billing_disabled",
                "billing_error",
                "billing_hard_limit_reached",
                "billing_not_active",
                "credit_balance_exhausted",
                "credit_balance_too_low",
                "insufficient_balance",
                "insufficient_credits",
                "payment_required",
            }
        ),
    ),
    (
        CONTENT_FILTER,
        frozenset(
            {
                "content_filter",
                "content_policy_violation",
                "responsibleaipolicyviolation",
                "sensitive_content",
            }
        ),
    ),
    (OF_THE_REQUEST, frozenset({"card_declined", "card_error"})),  # HTTP 402 of Stripe
    (
        INVALID_KEY,
        frozenset(
            {
                "access_token_expired",
                "api_key_invalid",
                "api_key_expired",
                "authentication_error",
                "authenticationerror",
                "credentials_missing",
                "expiredtoken",
                "expiredtokenexception",
                "incompletesignature",
                "incompletesignatureexception",
                "invalid_api_key",
                "invalid_authentication",
                "invalid_authentication_error",
                "invalidclienttokenid",
                "invalidsignatureexception",
                "missing_api_key",
                "missingauthenticationtokenexception",
                "unauthenticated",
                "unrecognizedclientexception",
            }
        ),
    ),
    (
        ACCOUNT_DISABLED,
        frozenset(
            {
                "account_deactivated",
                "account_disabled",
                "account_suspended",
                "consumer_suspended",
                "optinrequired",
                "organization_restricted",
                "service_disabled",
            }
        ),
    ),
    (UNSUPPORTED_REGION, frozenset({"unsupported_country_region_territory"})),
    (
        NO_SUCH_MODEL,
        frozenset(
            {
                "deployment_not_found",
                "deploymentnotfound",
                "ftuformnotfilled",
                "invalid_model",
                "model_decommissioned",
                "model_not_active",
                "model_not_available",
                "model_not_found",
                "unknown_model",
            }
        ),
    ),
    (
        CONTEXT_TOO_LONG,
        frozenset(
            {"context_length_exceeded", "context_window_exceeded", "request_too_large_for_model"}
        ),
    ),
    (REQUEST_TOO_LARGE, frozenset({"request_too_large", "requestentitytoolargeexception"})),
    (
        UNSUPPORTED,
        frozenset(
            {
                "extra_forbidden",
                "json_validate_failed",
                "model_not_supported",
                "tool_use_failed",
                "unknown_parameter",
                "unsupported_model",
                "unsupported_parameter",
                "unsupported_value",
                "unsupportedoperation",
                "operationnotsupported",
            }
        ),
    ),
    (
        FAILED,
        frozenset({"modelerrorexception", "modelstreamerrorexception", "modeltimeoutexception"}),
    ),
)
"""Codes that say all, before the words of a message do, the first first."""

GENERAL: Final[tuple[tuple[Fault, frozenset[str]], ...]] = (
    (
        OVERLOADED,
        frozenset(
            {"capacity_exceeded", "modelnotreadyexception", "service_tier_capacity_exceeded"}
        ),
    ),
    (
        RATE_LIMITED,
        frozenset(
            {
                "provisionedthroughputexceededexception",
                "rate_limit_error",
                "rate_limit_exceeded",
                "rate_limit_reached_error",
                "rate_limited",
                "ratelimitexceeded",
                "ratelimitreached",
                "requestlimitexceeded",
                "resource_exhausted",
                "slow_down",
                "slowdown",
                "throttled",
                "throttling",
                "throttlingexception",
                "too_many_requests",
                "toomanyrequests",
                "toomanyrequestsexception",
                "userratelimitexceeded",
            }
        ),
    ),
    (
        NO_PERMISSION,
        frozenset(
            {
                "access_denied",
                "accessdenied",
                "accessdeniedexception",
                "insufficient_permissions",
                "insufficient_scope",
                "missing_scope",
                "notauthorized",
                "permission_denied",
                "permission_error",
                "permissiondenied",
                "unauthorizedoperation",
            }
        ),
    ),
)
"""Codes that the words of a message may make more precise."""


def fault_of(
    codes: frozenset[str], table: tuple[tuple[Fault, frozenset[str]], ...]
) -> tuple[Fault, str] | None:
    """The first fault of a table that one of the codes names, and that code."""
    if codes:
        for fault, known in table:
            if found := codes & known:
                return fault, min(found)
    return None
