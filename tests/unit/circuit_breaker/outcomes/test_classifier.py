"""The default rules: how an error is classified by status, headers, codes and type."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciris_registry import (
    FAILURE,
    IGNORED,
    Classification,
    RegistrySettings,
    cooldown,
    refused,
    unfit,
)
from ciris_registry.circuit_breaker.outcomes.classifier import Classifier
from ciris_registry.errors import SettingsError
from tests.running import run
from tests.unit.circuit_breaker.outcomes.http_error import HttpError, code, says

SETTINGS = RegistrySettings(cooldown=4.0, quota_cooldown=600.0, max_cooldown=6000.0)


LIMITED = code("rate_limit_exceeded")
RULES: list[tuple[Exception, Classification]] = [
    (ValueError("x"), FAILURE),
    (TimeoutError(), FAILURE),
    (ConnectionRefusedError(), FAILURE),
    (HttpError(400), IGNORED),
    (HttpError(401), refused("invalid_key")),
    (HttpError(404, retry_after="7"), IGNORED),
    (HttpError(403), unfit("forbidden")),
    (HttpError(413), unfit("request_too_large")),
    (HttpError(422), IGNORED),
    (HttpError(408), FAILURE),
    (HttpError(408, retry_after="7"), FAILURE),
    (HttpError(429), cooldown(4)),
    (HttpError(429, retry_after="0"), cooldown(4)),
    (HttpError(429, retry_after="soon"), cooldown(4)),
    (HttpError(429, retry_after="7"), cooldown(7)),
    (HttpError(429, retry_after_ms="70"), cooldown(0.07)),
    (HttpError(429, retry_after="7000"), cooldown(6000)),
    (HttpError(429, retry_after="9" * 400), cooldown(4)),
    (HttpError(429, x_ratelimit_reset_tokens="6m0s"), cooldown(360)),
    (HttpError(429, x_ratelimit_reset="7", x_ratelimit_remaining="3"), cooldown(7)),
    (HttpError(500), FAILURE),
    (HttpError(500, retry_after="7"), FAILURE),
    (HttpError(502), FAILURE),
    (HttpError(503), FAILURE),
    (HttpError(503, retry_after="7"), cooldown(7)),
    (HttpError(503, x_ratelimit_reset="7"), cooldown(7)),
    (HttpError(503, x_ratelimit_reset="7", x_ratelimit_remaining="0"), cooldown(7)),
    (HttpError(503, x_ratelimit_reset="7", x_ratelimit_remaining="3"), FAILURE),
    (HttpError(529), FAILURE),
    (HttpError(529, retry_after="7"), cooldown(7)),
    (HttpError(200), FAILURE),
    (HttpError(302), FAILURE),
    (HttpError(200, LIMITED), cooldown(4)),
    (HttpError(0, LIMITED), cooldown(4)),
    (HttpError(0, code("insufficient_quota")), cooldown(600)),
    (HttpError(400, code("ThrottlingException")), cooldown(4)),
    (HttpError(403, LIMITED), cooldown(4)),
    (HttpError(500, LIMITED), cooldown(4)),
    (HttpError(402), refused("billing")),
    (HttpError(402, retry_after="7"), refused("billing")),
    (HttpError(402, code("insufficient_quota"), retry_after="700"), cooldown(700)),
    (HttpError(402, code("insufficient_quota"), retry_after="7000"), cooldown(6000)),
    (HttpError(429, code("insufficient_quota"), retry_after="1"), cooldown(600)),
    (HttpError(429, code("billing_hard_limit_reached")), refused("billing")),
    (HttpError(401, code("quota_exceeded")), cooldown(600)),
    (HttpError(400, says("Your credit balance is too low to access the API.")), refused("billing")),
    (HttpError(400, says("You have reached your specified API usage limits.")), cooldown(600)),
    (HttpError(429, says("You exceeded your current quota"), retry_after="7"), cooldown(7)),
    (HttpError(500, says("Your credit balance is too low")), FAILURE),
    (HttpError(400, says("Unknown key 'credit balance'")), IGNORED),
]


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(SETTINGS.cooldown_durations)


@pytest.mark.parametrize(("error", "expected"), RULES)
def test_an_error_is_classified_by_the_rules(
    classifier: Classifier, error: Exception, expected: Classification
) -> None:
    assert classifier.error(error) == expected
    wrapper = RuntimeError("a framework's")
    wrapper.__cause__ = error
    if not isinstance(error, TimeoutError):
        assert classifier.error(wrapper) == expected


def test_a_timeout_is_a_failure_whatever_its_cause(classifier: Classifier) -> None:
    late = TimeoutError()
    late.__cause__ = HttpError(404)
    assert classifier.error(late) == FAILURE


def test_without_a_date_a_reset_time_is_compared_with_the_local_clock(
    classifier: Classifier,
) -> None:
    classification = classifier.error(HttpError(429, x_ratelimit_reset=f"{time.time() + 60:.3f}"))
    assert classification.seconds == pytest.approx(60, abs=5)


def test_a_reason_names_status_and_header_but_no_text_of_the_provider(
    classifier: Classifier,
) -> None:
    assert classifier.error(HttpError(429, retry_after="7")).reason == "HTTP 429, retry-after"
    assert classifier.error(HttpError(429, says("secret"))).reason == "HTTP 429"
    assert classifier.error(HttpError(404, says("secret"))).reason == "HTTP 404"
    quota = classifier.error(HttpError(429, code("insufficient_quota")))
    assert quota.reason == "a quota is used up: insufficient_quota"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(1)])
def test_a_cancellation_or_an_exit_is_ignored(classifier: Classifier, error: BaseException) -> None:
    assert classifier.error(error) == IGNORED


GROUPS: list[tuple[list[BaseException], Classification]] = [
    ([HttpError(404), HttpError(429), ValueError()], FAILURE),
    ([HttpError(404), HttpError(429)], cooldown(4)),
    ([HttpError(429, retry_after="9"), HttpError(429)], cooldown(9)),
    ([HttpError(404)], IGNORED),
    ([HttpError(401), HttpError(429), HttpError(404)], refused("invalid_key")),
    ([HttpError(429), HttpError(403), HttpError(404)], cooldown(4)),
    ([HttpError(403), HttpError(404)], unfit("forbidden")),
    ([asyncio.CancelledError()], IGNORED),
    ([asyncio.CancelledError(), HttpError(429)], cooldown(4)),
    ([HttpError(404), BaseExceptionGroup("inner", [ValueError()])], FAILURE),
]


@pytest.mark.parametrize(("members", "expected"), GROUPS)
def test_a_group_is_as_bad_as_its_worst_member(
    classifier: Classifier, members: list[BaseException], expected: Classification
) -> None:
    assert classifier.error(BaseExceptionGroup("several", members)) == expected


def test_groups_may_be_nested_deeply(classifier: Classifier) -> None:
    group = ExceptionGroup("innermost", [HttpError(429)])
    for _ in range(5000):
        group = ExceptionGroup("deeper", [group])  # type: ignore[list-item]
    assert classifier.error(group) == cooldown(4)
    while isinstance(group.exceptions[0], ExceptionGroup):  # Python itself frees them recursively
        group = group.exceptions[0]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 4e8, True, "7", None])
def test_a_cooldown_has_bounds(seconds: Any) -> None:
    with pytest.raises(SettingsError, match="use more than 0, up to ten years"):
        cooldown(seconds)


def test_a_cooldown_keeps_its_reason_and_equals_one_as_long() -> None:
    classification = cooldown(7, "closed for lunch")
    assert classification.reason == "closed for lunch"
    assert classification == Classification("cooldown", 7.0)
    assert classification != cooldown(8)


@pytest.mark.parametrize("name", ["cooldown", "quota_cooldown", "max_cooldown"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 4e8])
def test_the_settings_have_bounds(name: str, seconds: float) -> None:
    with pytest.raises(SettingsError, match=name):
        RegistrySettings(**{name: seconds})


def test_max_cooldown_limits_the_other_settings_too() -> None:
    strict = Classifier(RegistrySettings(max_cooldown=2.0).cooldown_durations)
    assert strict.error(HttpError(429)) == cooldown(2)
    assert strict.error(HttpError(402, code("quota_exceeded"))) == cooldown(2)


@given(
    st.sampled_from([0, 200, 400, 402, 404, 408, 429, 500, 503, 529]),
    st.dictionaries(
        st.sampled_from(["date", "retry_after", "retry_after_ms", "x_ratelimit_reset"]),
        st.text() | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str),
    ),
    st.sampled_from([None, LIMITED, code("insufficient_quota")]) | st.text(),
)
def test_no_response_makes_a_cooldown_out_of_bounds(
    status: int, headers: dict[str, str], body: object
) -> None:
    classification = Classifier(SETTINGS.cooldown_durations).error(
        HttpError(status, body, **headers)
    )
    assert classification.kind in {"failure", "ignored", "cooldown", "refused", "unfit"}
    assert 0 <= classification.seconds <= 6000
    assert (classification.seconds > 0) == (classification.kind == "cooldown")


def test_importing_the_package_imports_no_client() -> None:
    assert run("imports_the_package") == (0, "[]\n", "")
