"""Policies: they classify before the rules, in order, and a broken policy is ignored."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from ciris_registry import FAILURE, IGNORED, SUCCESS, Classification, RegistrySettings, cooldown
from ciris_registry.circuit_breaker.outcomes.classifier import Classifier
from tests.unit.circuit_breaker.outcomes.http_error import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = RegistrySettings(cooldown=4.0, max_cooldown=6000.0)


def never(_: object) -> NoReturn:
    raise AssertionError("another policy decides")


def silent(_: object) -> None:
    return None


def ignores(_: object) -> Classification:
    return IGNORED


def fails(_: object) -> Classification:
    return FAILURE


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(SETTINGS.cooldown_durations)


def test_a_value_is_a_success_unless_a_policy_says_otherwise(classifier: Classifier) -> None:
    assert classifier.value(None) == SUCCESS
    assert classifier.value(HttpError(429)) == SUCCESS
    assert classifier.value("", None, silent) == SUCCESS
    assert classifier.value("", lambda value: None if value else FAILURE) == FAILURE
    assert Classifier(SETTINGS.cooldown_durations, of_registry=fails).value("") == FAILURE


def test_the_policy_of_the_call_comes_first_then_the_registrations_then_the_registrys() -> None:
    registry = Classifier(SETTINGS.cooldown_durations, of_registry=ignores)
    assert registry.error(ValueError()) == IGNORED
    assert registry.error(ValueError(), None, fails) == FAILURE
    assert registry.error(ValueError(), fails, never) == FAILURE
    assert registry.error(ValueError(), silent, None, silent) == IGNORED
    assert Classifier(SETTINGS.cooldown_durations, of_registry=silent).error(
        HttpError(429)
    ) == cooldown(4)
    assert (
        Classifier(SETTINGS.cooldown_durations, of_registry=never).error(ValueError(), fails)
        == FAILURE
    )


def test_a_policy_may_say_that_an_error_was_a_success(classifier: Classifier) -> None:
    assert classifier.error(KeyError("no such memory"), lambda _: SUCCESS) == SUCCESS


def test_max_cooldown_limits_the_cooldown_of_a_policy(classifier: Classifier) -> None:
    classification = classifier.error(ValueError(), lambda _: cooldown(7000, "closed for lunch"))
    assert (classification.seconds, classification.reason) == (6000, "closed for lunch")
    assert classifier.value("", lambda _: cooldown(7)) == cooldown(7)


class Raises:
    """A broken policy that is an object."""

    def __call__(self, outcome: object) -> NoReturn:
        raise LookupError("no such rule")

    def method(self, outcome: object) -> NoReturn:
        raise LookupError("no such rule")


class Unshowable(Exception):  # noqa: N818 # named for what it is
    """An error whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def raises_what_cannot_be_shown(_: object) -> NoReturn:
    raise Unshowable


async def asynchronous(_: object) -> Classification:
    return FAILURE


BROKEN: list[Callable[[], Any]] = [
    Raises,
    lambda: Raises().method,
    lambda: partial(Raises().method),
    lambda: raises_what_cannot_be_shown,
    lambda: asynchronous,
    lambda: lambda _: "failure",
    lambda: lambda _: True,
    lambda: lambda _: Unshowable(),
    lambda: lambda _: Classification("cooldown", 0.0),
    lambda: lambda _: Classification("cooldown", float("nan")),
    lambda: lambda _: Classification("broken"),  # type: ignore[arg-type]
    lambda: lambda: FAILURE,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_policy_decides_nothing_and_is_logged_once(
    classifier: Classifier, broken: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert classifier.error(HttpError(429), broken()) == cooldown(4)
        assert classifier.value("", broken(), fails) == FAILURE
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.getMessage().endswith("it counts as None")


def test_each_broken_policy_is_logged(
    classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    classifier.value("", lambda _: 1, lambda _: 2)  # type: ignore[arg-type, return-value]
    assert len(caplog.records) == 2
    assert "lambda" in caplog.text
    assert "returned 1, which is neither a Classification nor None" in caplog.text


def test_an_interruption_inside_a_policy_is_raised(classifier: Classifier) -> None:
    def interrupted(_: object) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classifier.value("", interrupted)


def test_a_policy_classifies_a_group_or_its_members(classifier: Classifier) -> None:
    group = ExceptionGroup("several", [ValueError(), HttpError(404)])
    assert classifier.error(group, ignores) == IGNORED
    of_members: Any = lambda error: IGNORED if isinstance(error, ValueError) else None  # noqa: E731
    assert classifier.error(group, of_members) == IGNORED


def test_no_policy_classifies_a_cancellation(classifier: Classifier) -> None:
    assert classifier.error(asyncio.CancelledError(), never) == IGNORED
