"""The codes of faults: the one word that says what a provider refused, limited or lacks."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

_OWN_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")


class FaultCode(StrEnum):
    """The code of a classification that the default rules give; a policy may use its own.

    ``refused`` has the codes from ``INVALID_KEY`` to ``BILLING``, ``cooldown`` those from
    ``RATE_LIMITED`` to ``OVERLOADED``, ``unfit`` those from ``CONTEXT_TOO_LONG`` to ``FORBIDDEN``,
    and ``ignored`` the last one.
    """

    INVALID_KEY = "invalid_key"
    """The key or token is missing, wrong, expired or revoked."""
    NO_PERMISSION = "no_permission"
    """The key is valid, and must not use this service, project or model."""
    ACCOUNT_DISABLED = "account_disabled"
    """The account, organization or project is suspended, closed or not set up."""
    NO_SUCH_MODEL = "no_such_model"
    """The model or deployment does not exist, is retired, or is hidden from this account."""
    UNSUPPORTED_REGION = "unsupported_region"
    """The service is not offered where the program runs, or the model not in this region."""
    BILLING = "billing"
    """The account has no credit, or its bill is unpaid."""
    RATE_LIMITED = "rate_limited"
    """Too many requests or tokens within seconds, minutes or a day."""
    QUOTA = "quota"
    """A quota or a budget is used up; a short wait does not help."""
    OVERLOADED = "overloaded"
    """The provider is overloaded, and says for how long."""
    CONTEXT_TOO_LONG = "context_too_long"
    """The request has more tokens than the model's context, or than one request may have."""
    REQUEST_TOO_LARGE = "request_too_large"
    """The request has more bytes than the provider accepts."""
    UNSUPPORTED = "unsupported"
    """The model lacks a parameter, a modality or a feature that the request needs."""
    FORBIDDEN = "forbidden"
    """HTTP 403 without a known reason, of a firewall or a moderation for example."""
    CONTENT_FILTER = "content_filter"
    """A filter refused the content of the request."""


def is_code(code: object) -> bool:
    """Whether a value is a code: up to 50 letters a-z, digits and ``_``, a letter first."""
    return isinstance(code, str) and _OWN_CODE.fullmatch(code) is not None
