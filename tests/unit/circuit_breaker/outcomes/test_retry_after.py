"""How long a provider asks to be left alone is read from every form that its headers take."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciris_registry.circuit_breaker.outcomes.retry_after import Wait, wait_of

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
FORMS = [
    ("7", 7.0),
    (" 7 ", 7.0),
    ("0.25", 0.25),
    (".5", 0.5),
    ("7.", 7.0),
    ("1s", 1.0),
    ("6m0s", 360.0),
    ("20ms", 0.02),
    ("1h2m3s", 3723.0),
    ("1.5s", 1.5),
    ("7m12.5s", 432.5),
    ("2d", 172_800.0),
    ("500µs", 0.0005),
    ("1700000030", 30.0),
    ("1700000030.5", 30.5),
    ("1700000030250", 30.25),
    ("2023-11-14T22:14:20Z", 60.0),
    ("2023-11-14T22:14:20z", 60.0),
    ("2023-11-14T23:14:20.5+01:00", 60.5),
    ("2023-11-14T22:14:20", 60.0),
    ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
    ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
]
UNREADABLE = [
    "",
    "0",
    "0s",
    "-5",
    "nan",
    "inf",
    "-inf",
    "1e3",
    "1_000",
    "٣",
    "soon",
    "6m0",
    "s",
    "--5",
    "1700000000",
    "1699999999",
    "2023-11-14T22:13:20Z",
    "Tue, 14 Nov 2023 22:13:19 GMT",
    "Tue, 99 Nov 2023 99:99:99 GMT",
    "9999999999999999999999999-01-01T00:00:00Z",
]
RESETS = ["x-ratelimit-reset", "ratelimit-reset", "x-ratelimit-reset-tokens", "x-rate-limit-reset"]


def seconds(**headers: str) -> float | None:
    return of_headers(headers, limited=True)


def seconds_of_another_refusal(**headers: str) -> float | None:
    return of_headers(headers, limited=False)


def of_headers(headers: dict[str, str], *, limited: bool) -> float | None:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    wait = wait_of(named, NOW, limited=limited)
    return None if wait is None else wait.seconds


@pytest.mark.parametrize("name", ["retry-after", *RESETS, "anthropic-ratelimit-tokens-reset"])
@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_a_wait_is_read_in_each_form(name: str, text: str, expected: float) -> None:
    wait = wait_of({name: text}, NOW, limited=True)
    assert wait is not None
    assert wait.source == name
    assert wait.seconds == pytest.approx(expected)


@pytest.mark.parametrize("name", ["retry-after", *RESETS])
@pytest.mark.parametrize("text", UNREADABLE)
def test_a_time_that_is_past_or_unreadable_counts_as_absent(name: str, text: str) -> None:
    assert wait_of({name: text}, NOW, limited=True) is None


@pytest.mark.parametrize("text", ["", "0", "-5", "nan", "inf", "1e3", "1_000", "7s", "soon"])
def test_milliseconds_are_a_number_or_absent(text: str) -> None:
    assert wait_of({"retry-after-ms": text}, NOW, limited=True) is None


def test_the_later_of_two_waits_counts_and_milliseconds_are_the_precise_one() -> None:
    assert seconds(retry_after_ms="1500", retry_after="2") == 1.5
    assert seconds(retry_after_ms="1500", retry_after="7", x_ratelimit_reset="90") == 7
    assert seconds(retry_after="7", x_ratelimit_reset="90") == 7
    assert seconds(retry_after_ms="0", retry_after="7") == 7
    assert seconds(retry_after_ms="soon", retry_after="never", x_ratelimit_reset="90") == 90


def test_a_wait_of_the_body_counts_if_it_is_the_later_one() -> None:
    def of(*others: float, **headers: str) -> float:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        waits = [Wait(seconds, "body") for seconds in others]
        wait = wait_of(named, NOW, limited=True, others=waits)
        return wait.seconds if wait is not None else 0.0

    assert of(9, 40) == 40
    assert of(40, retry_after="7") == 40
    assert of(4, retry_after="7") == 7
    assert of(4, x_ratelimit_reset="90") == 4


@pytest.mark.parametrize(
    ("text", "expected"), [("40, 40", 40), ("7, 40", 40), ("soon, 40", 40), ("1m, 7s", 60)]
)
def test_of_a_header_that_is_given_twice_the_later_counts(text: str, expected: float) -> None:
    assert seconds(retry_after=text) == expected
    assert seconds(x_ratelimit_reset=text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"default";r=0;t=40', 40),
        ('"default";r=50;t=30', 30),
        ('"burst";r=5;t=90, "daily";r=0;t=40', 40),
        ("limit=10, remaining=0, reset=40", 40),
        ('"default";r=0', None),
        ('"default"', None),
    ],
)
def test_the_rate_limit_fields_of_the_ietf_are_read(text: str, expected: float | None) -> None:
    assert seconds(ratelimit=text) == expected
    if ";r=50" in text:
        assert seconds_of_another_refusal(ratelimit=text) is None


def test_the_date_of_the_response_takes_precedence_over_the_local_clock() -> None:
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    assert seconds(date=date, retry_after="Sun, 06 Nov 1994 08:50:07 GMT") == 30
    assert seconds(date=date, anthropic_ratelimit_tokens_reset="1994-11-06T08:49:47Z") == 10
    assert seconds(date="yesterday", retry_after="Tue, 14 Nov 2023 22:14:20 GMT") == 60


def test_the_reset_of_the_empty_budget_counts() -> None:
    openai = {"x_ratelimit_reset_requests": "6m0s", "x_ratelimit_reset_tokens": "1s"}
    anthropic = {
        "anthropic_ratelimit_requests_reset": "2023-11-14T22:14:20Z",
        "anthropic_ratelimit_tokens_reset": "2023-11-14T22:13:21Z",
    }
    assert seconds(**openai, x_ratelimit_remaining_tokens="0") == 1
    assert seconds(**openai, x_ratelimit_remaining_tokens="-3") == 1
    assert seconds(**openai, x_ratelimit_remaining_requests="0") == 360
    assert seconds(**anthropic, anthropic_ratelimit_tokens_remaining="0") == 1
    assert seconds(**anthropic, anthropic_ratelimit_requests_remaining="0") == 60


def test_without_an_empty_budget_the_latest_reset_counts() -> None:
    resets = {"x_ratelimit_reset_requests": "6m0s", "x_ratelimit_reset_tokens": "1s"}
    assert seconds(**resets) == 360
    assert seconds(**resets, x_ratelimit_remaining_requests="59") == 360
    assert seconds(**resets, x_ratelimit_remaining_requests="many") == 360


def test_the_reset_of_a_budget_that_is_not_empty_does_not_count_for_other_statuses() -> None:
    resets = {"x_ratelimit_reset_requests": "6m0s", "x_ratelimit_reset_tokens": "1s"}
    left = {"x_ratelimit_remaining_requests": "59", "x_ratelimit_remaining_tokens": "700"}
    assert seconds_of_another_refusal(**resets, **left) is None
    assert seconds_of_another_refusal(**resets, x_ratelimit_remaining_requests="59") == 1
    assert seconds_of_another_refusal(x_ratelimit_reset="30") == 30


@pytest.mark.parametrize("name", ["x-reset", "x-ratelimit-limit", "ratelimit-resets", "reset"])
def test_other_headers_are_not_read(name: str) -> None:
    assert wait_of({name: "30"}, NOW, limited=True) is None


NAMES = st.sampled_from(
    [
        "date",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset",
        "x-ratelimit-remaining",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-tokens-remaining",
    ]
)
TEXTS = st.one_of(
    st.text(),
    st.from_regex(r"[0-9.smhd-]{0,40}"),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda time: time.strftime("%a, %d %b %Y %H:%M:%S GMT")),
)


@given(st.dictionaries(NAMES | st.text(), TEXTS), st.booleans())
def test_no_text_raises_or_gives_an_unusable_number(headers: dict[str, str], limited: bool) -> None:
    wait = wait_of(headers, NOW, limited=limited)
    assert wait is None or 0 < wait.seconds < math.inf
