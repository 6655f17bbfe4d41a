"""The meaning of an outcome for its provider: one of six kinds, with a code and a scope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from ciris_registry.circuit_breaker.outcomes.fault_code import FaultCode, is_code
from ciris_registry.errors import SettingsError

Kind: TypeAlias = Literal["success", "failure", "cooldown", "refused", "unfit", "ignored"]
"""The kinds of classification."""

Scope: TypeAlias = Literal["provider", "account"]
"""Whom a cooldown or a refusal concerns: this provider, or all providers of its account."""

SEVERITY: Final[tuple[Kind, ...]] = (
    "success",
    "ignored",
    "unfit",
    "cooldown",
    "refused",
    "failure",
)
"""The kinds, the worst last: a group of errors counts as its worst member.

A failure is evidence of a fault that other processes may not have seen, so that it must not be lost
behind another kind. A refusal keeps a provider unused for longer than a cooldown. ``unfit`` blames
no provider, but still lets the next one answer.
"""

_SCOPES: Final = frozenset(get_args(Scope))
_OF_THE_ACCOUNT: Final = frozenset(
    {FaultCode.INVALID_KEY, FaultCode.ACCOUNT_DISABLED, FaultCode.BILLING, FaultCode.QUOTA}
)
_TEN_YEARS: Final = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Classification:
    """The meaning of an outcome for the provider's breaker.

    Use ``SUCCESS``, ``FAILURE``, ``IGNORED``, ``cooldown()``, ``refused()`` or ``unfit()``:

    - ``success`` and ``failure`` count in the breaker.
    - ``cooldown`` refuses calls of the provider for ``seconds``, without a failure.
    - ``refused``: the provider does not serve this program, whatever the request: its key, account,
      permission or model is not accepted. The next provider is called.
    - ``unfit``: the provider cannot serve this request, and another one may. The next provider is
      called; none is blamed.
    - ``ignored`` counts as nothing, and the caller gets the error: it says nothing about the
      provider, as an invalid request does.

    ``code`` is the fault code, a ``FaultCode`` or a policy's own. ``scope`` says whether a cooldown
    or a refusal concerns the provider or its whole account. ``reason`` is text for logs and events.
    None of the three counts in comparisons.
    """

    kind: Kind
    seconds: float = 0.0
    reason: str = field(default="", compare=False)
    code: str = field(default="", compare=False)
    scope: Scope = field(default="provider", compare=False)


SUCCESS: Final = Classification("success")
FAILURE: Final = Classification("failure")
IGNORED: Final = Classification("ignored")

PROGRAMMING_ERROR: Final = Classification("ignored", reason="a programming error")
"""The default of an error that is the program's or an answer's: the call shows which."""

PROGRAMMING_ERRORS: Final = (
    TypeError,
    AttributeError,
    NameError,
    LookupError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,
    ImportError,
    RecursionError,
)


def cooldown(
    seconds: float, reason: str = "", *, code: str = "", scope: Scope = "provider"
) -> Classification:
    """A cooldown of the provider for ``seconds``, more than 0 and up to ten years.

    Raises:
        SettingsError: ``seconds`` is not a number within these bounds, or ``code`` or ``scope`` is
            none.
    """
    if not is_cooldown(seconds):
        raise SettingsError(
            "a cooldown", (f"{seconds!r} is not seconds; use more than 0, up to ten years",)
        )
    _check("a cooldown", code, scope)
    return Classification("cooldown", float(seconds), reason, code, scope)


def refused(code: str, reason: str = "", *, scope: Scope | None = None) -> Classification:
    """A refusal: the provider does not serve this program, for the reason that ``code`` names.

    ``code`` is a ``FaultCode``, such as ``"invalid_key"``, or a word of the program: up to 50
    letters a-z, digits and ``_``. Without ``scope`` the codes ``invalid_key``, ``account_disabled``
    and ``billing`` concern the account, others the provider.

    Raises:
        SettingsError: ``code`` or ``scope`` is none.
    """
    scope = usual_scope(code) if scope is None else scope
    _check("a refusal", code or "(none)", scope)
    return Classification("refused", 0.0, reason, code, scope)


def unfit(code: str = FaultCode.UNSUPPORTED, reason: str = "") -> Classification:
    """The provider cannot serve this request, and another one may; ``code`` as in ``refused``.

    Raises:
        SettingsError: ``code`` is none.
    """
    _check("an unfit request", code or "(none)", "provider")
    return Classification("unfit", 0.0, reason, code)


def usual_scope(code: str) -> Scope:
    """The scope of a fault whose response does not name one."""
    return "account" if code in _OF_THE_ACCOUNT else "provider"


def is_cooldown(seconds: object) -> bool:
    """Whether a value is the seconds of a cooldown: a number above 0, up to ten years."""
    return (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and 0 < seconds <= _TEN_YEARS
    )


def is_valid(classification: Classification) -> bool:
    """Whether kind, seconds, code and scope are within their bounds, of one made by hand too."""
    return (
        classification.kind in SEVERITY
        and (classification.kind != "cooldown" or is_cooldown(classification.seconds))
        and (classification.code == "" or is_code(classification.code))
        and classification.scope in _SCOPES
    )


def _check(what: str, code: str, scope: str) -> None:
    if code and not is_code(code):
        raise SettingsError(
            what, (f"{code!r} is not a code; use up to 50 letters a-z, digits and _",)
        )
    if scope not in _SCOPES:
        raise SettingsError(what, (f"{scope!r} is not a scope; use 'provider' or 'account'",))
