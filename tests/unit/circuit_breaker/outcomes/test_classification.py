"""Classifications that programs make: their kinds, codes, scopes and bounds."""

from __future__ import annotations

from typing import Any

import pytest

from ciris_registry import FAILURE, IGNORED, Classification, cooldown, refused, unfit
from ciris_registry.circuit_breaker.outcomes import FaultCode
from ciris_registry.circuit_breaker.outcomes.classification import SEVERITY, is_valid
from ciris_registry.errors import SettingsError


def test_a_refusal_names_its_fault_and_whom_it_concerns() -> None:
    revoked = refused("invalid_key", "the key was revoked")
    assert (revoked.kind, revoked.code, revoked.scope) == ("refused", "invalid_key", "account")
    assert revoked.reason == "the key was revoked"
    assert refused(FaultCode.BILLING).scope == "account"
    assert refused("no_such_model").scope == "provider"
    assert refused("invalid_key", scope="provider").scope == "provider"


def test_a_request_is_unfit_for_a_reason_that_a_program_may_name() -> None:
    assert (unfit().kind, unfit().code) == ("unfit", "unsupported")
    assert unfit("no_video", "this model reads no video").code == "no_video"


def test_a_cooldown_may_name_its_code_and_scope() -> None:
    limited = cooldown(7, code=FaultCode.RATE_LIMITED, scope="account")
    assert (limited.code, limited.scope) == ("rate_limited", "account")
    assert (cooldown(7).code, cooldown(7).scope) == ("", "provider")


def test_code_scope_and_reason_do_not_count_in_comparisons() -> None:
    assert refused("invalid_key", "why") == refused("billing", scope="provider")
    assert cooldown(7, code="quota") == cooldown(7)
    assert Classification("ignored", code="content_filter") == IGNORED
    assert unfit() != IGNORED


def test_codes_are_text() -> None:
    assert str(FaultCode.NO_SUCH_MODEL) == "no_such_model"
    assert all(is_valid(refused(code)) for code in FaultCode)


@pytest.mark.parametrize("code", ["", "Invalid Key", "7", "x" * 51, "ключ", "a-b", "a\n"])
def test_a_code_is_one_short_word(code: str) -> None:
    for make in (refused, unfit, lambda code: cooldown(1, code=code or " ")):
        with pytest.raises(SettingsError, match="letters a-z, digits and _"):
            make(code)
    assert code == "" or not is_valid(Classification("refused", code=code))


def test_a_scope_is_the_provider_or_the_account() -> None:
    elsewhere: Any = "galaxy"
    with pytest.raises(SettingsError, match="use 'provider' or 'account'"):
        refused("billing", scope=elsewhere)
    assert not is_valid(Classification("refused", scope=elsewhere))


def test_the_kinds_have_an_order_for_groups() -> None:
    assert SEVERITY == ("success", "ignored", "unfit", "cooldown", "refused", "failure")
    assert SEVERITY[-1] == FAILURE.kind
