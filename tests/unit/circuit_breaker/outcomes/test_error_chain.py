"""The facts of an error are read from what it wraps: causes, and errors that were being handled."""

from __future__ import annotations

import pytest

from ciris_registry import FAILURE, IGNORED, Classification, RegistrySettings, cooldown, refused
from ciris_registry.circuit_breaker.outcomes import Classifier
from ciris_registry.errors import CircuitBreakerError
from tests.unit.circuit_breaker.outcomes.http_error import HttpError, code


def classified(error: Exception) -> Classification:
    return Classifier(RegistrySettings().cooldown_durations).error(error)


class ModelError(Exception):
    """An error of a program."""


class CodedError(Exception):
    """An error with an integer code, and what else it is given."""

    def __init__(self, code: object, **attributes: object) -> None:
        super().__init__("coded")
        self.code = code
        vars(self).update(attributes)


def raised_while_handling(inner: Exception, outer: Exception, *, hide: bool = False) -> Exception:
    with pytest.raises(type(outer)) as raised:
        handle(inner, outer, hide=hide)
    return raised.value


def handle(inner: Exception, outer: Exception, *, hide: bool) -> None:
    try:
        raise inner
    except type(inner):
        if hide:
            raise outer from None
        raise outer  # noqa: B904 # without from, as programs do


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (HttpError(429, retry_after="30"), cooldown(30)),
        (HttpError(503, retry_after="30"), cooldown(30)),
        (HttpError(401), refused("invalid_key")),
        (HttpError(400), IGNORED),
        (HttpError(500), FAILURE),
        (OSError("down"), FAILURE),
    ],
)
def test_an_error_that_was_being_handled_counts_unless_it_is_hidden(
    inner: Exception, expected: Classification
) -> None:
    assert classified(raised_while_handling(inner, ModelError("no answer"))) == expected
    assert classified(raised_while_handling(inner, RuntimeError("no answer"))) == expected
    assert classified(raised_while_handling(inner, ModelError("no"), hide=True)) == FAILURE


def test_an_error_with_facts_of_its_own_came_after_the_one_that_was_being_handled() -> None:
    limited = HttpError(429, code("insufficient_quota"), retry_after="30")
    assert classified(raised_while_handling(limited, HttpError(500))) == FAILURE
    assert classified(raised_while_handling(limited, HttpError(404))) == IGNORED


@pytest.mark.parametrize("broken", [ConnectionError("reset"), TimeoutError("late")])
def test_a_broken_connection_or_a_timeout_says_itself_what_happened(broken: Exception) -> None:
    assert classified(raised_while_handling(HttpError(429), broken)) == FAILURE
    wrapper = ModelError("no answer")
    wrapper.__cause__ = raised_while_handling(HttpError(404), broken)
    assert classified(wrapper) == FAILURE


def test_a_cause_of_a_broken_connection_counts() -> None:
    broken = ConnectionError("refused")
    broken.__cause__ = HttpError(429, retry_after="30")
    assert classified(broken) == cooldown(30)


def test_the_wait_of_a_nested_call_of_a_registry_is_not_this_providers() -> None:
    wrapper = ModelError("no answer")
    wrapper.__cause__ = CircuitBreakerError("inner", retry_after=30.0)
    assert classified(wrapper) == FAILURE


def test_errors_that_were_being_handled_in_a_circle_are_read_once() -> None:
    one, other = ModelError("one"), ModelError("other")
    one.__context__, other.__context__ = other, one
    assert classified(one) == FAILURE


@pytest.mark.parametrize(
    "error",
    [
        CodedError(429),  # of any library
        CodedError(404, rcvd=None, sent=None),  # websockets
        CodedError("e3q8", statement="SELECT 1", orig=None),  # SQLAlchemy
        CodedError(403, reason="denied", lang="en"),  # asyncssh
        CodedError(404, sqlstate="42P01"),  # psycopg
        CodedError(14),  # a gRPC status as a number
    ],
)
def test_an_integer_code_of_another_library_is_no_status(error: Exception) -> None:
    assert classified(error) == FAILURE


@pytest.mark.parametrize("name", ["headers", "body", "response", "url"])
def test_an_integer_code_beside_http_attributes_is_a_status(name: str) -> None:
    assert classified(CodedError(404, **{name: object()})) == IGNORED
