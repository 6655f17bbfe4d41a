"""How long a provider asks to be left alone is read from bodies, words and attributes too."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciris_registry import FAILURE, RegistrySettings, cooldown
from ciris_registry.circuit_breaker.outcomes import Classifier
from ciris_registry.circuit_breaker.outcomes.retry_info import wait_in_words, waits_in, waits_of

WORDS = [
    ("Please try again in 7.66s. Visit https://x", 7.66),
    ("Please retry in 40.1s.", 40.1),
    ("try again in 1m2s", 62.0),
    ("Please try again in 1h2m3.4s", 3723.4),
    ("Please try again in 6m0s.", 360.0),
    ("Please try again in 644ms.", 0.644),
    ("please try again in 20 seconds", 20.0),
    ("Please retry after 40 seconds. ", 40.0),
    ("Please retry after 1 second.", 1.0),
    ("Retry after 3600", 3600.0),
    ("Too Many Requests: retry after 35", 35.0),
    ("Please wait 5 minutes and try again", 300.0),
    ("wait for 1 hour and 30 minutes", 5400.0),
    ("Your quota will reset after 53m27s.", 3207.0),
    ("limit resets in 2 hours", 7200.0),
    ("Try again in about 2 days", 172_800.0),
    ("retry in 5s, or try again in 9s", 9.0),
]
NO_WAIT = [
    "",
    "Please try again later.",
    "Limit 30000, Used 29937, Requested 385.",
    "try again in 3 models",
    "retry 3 times",
    "waiting for 7 replicas",
    "Please wait before trying again.",
    "try again in 0s",
]


@pytest.mark.parametrize(("text", "seconds"), WORDS)
def test_a_wait_is_read_in_words(text: str, seconds: float) -> None:
    wait = wait_in_words(text.lower())
    assert wait is not None
    assert wait.seconds == pytest.approx(seconds)


@pytest.mark.parametrize("text", NO_WAIT)
def test_other_words_and_numbers_are_no_wait(text: str) -> None:
    assert wait_in_words(text.lower()) is None


@pytest.mark.parametrize(
    ("part", "seconds"),
    [
        ({"retry_after": 40.25}, 40.25),
        ({"retry_after": "40"}, 40.0),
        ({"retryAfter": "1m"}, 60.0),
        ({"retry_after_ms": 1500}, 1.5),
        ({"retryAfterMs": "1500"}, 1.5),
        ({"retry_after_seconds": 9}, 9.0),
        ({"retryDelay": "40.5s"}, 40.5),
        ({"retryDelay": {"seconds": "17", "nanos": 500_000_000}}, 17.5),
    ],
)
def test_a_wait_is_read_in_a_body(part: dict[str, object], seconds: float) -> None:
    assert [wait.seconds for wait in waits_in([part])] == [pytest.approx(seconds)]


@pytest.mark.parametrize(
    "value", [0, -1, True, None, "soon", float("nan"), float("inf"), 1e300, {}]
)
def test_an_unusable_wait_counts_as_absent(value: Any) -> None:
    assert list(waits_in([{"retry_after": value, "retryDelay": value}, "text", None])) == []
    assert list(waits_of(SimpleNamespace(retry_after=value))) == []


@pytest.mark.parametrize("value", [40, 40.0, "40", timedelta(seconds=40)])
def test_a_wait_is_read_in_the_attribute_of_an_error(value: object) -> None:
    assert [wait.seconds for wait in waits_of(SimpleNamespace(retry_after=value))] == [40.0]


class SaidError(Exception):
    """An error of a program, with a message and no more."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FloodError(Exception):
    """As the errors of Telegram's and Discord's clients."""

    retry_after = 40


def test_words_alone_are_no_limit_and_an_attribute_is_one() -> None:
    classifier = Classifier(RegistrySettings().cooldown_durations)
    assert classifier.error(SaidError("it failed; try again in 40s")) == FAILURE
    assert classifier.error(FloodError()) == cooldown(40)


@given(st.text() | st.from_regex(r"(try again|retry|wait|in|after|[0-9.]{1,9}|s|ms|m|h| ){0,60}"))
def test_no_words_raise(text: str) -> None:
    wait = wait_in_words(text)
    assert wait is None or wait.seconds > 0
