"""What the errors of real clients mean, raised by real answers of a server on this machine."""

from __future__ import annotations

import importlib
import socket
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import FAILURE, Classification, RegistrySettings, cooldown
from ciris_registry.circuit_breaker.outcomes.classifier import Classifier
from tests.unit.circuit_breaker.outcomes.http_answers import ANSWERS, Handler

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server that gives all responses of ``ANSWERS``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


WITH_BODY = [
    "by_httpx",
    "by_openai",
    "by_openai_stream",
    "by_anthropic",
    "by_pydantic_ai",
    "by_langchain",
]
WITHOUT_BODY = ["by_httpx_stream", "by_aiohttp", "by_urllib"]


def clients() -> Any:
    """The calls, imported where they are made: not by every test process that collects tests."""
    return importlib.import_module("tests.unit.circuit_breaker.outcomes.real_clients")


async def raised(call: str, url: str) -> Exception:
    try:
        await getattr(clients(), call)(url)
    except Exception as error:  # noqa: BLE001 # it is what the test is about
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(RegistrySettings().cooldown_durations)


@pytest.mark.parametrize("call", WITH_BODY)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_error_of_a_client_is_classified_by_the_response(
    server: str, classifier: Classifier, call: str, name: str
) -> None:
    error = await raised(call, f"{server}/{name}")
    assert classifier.error(error) == ANSWERS[name].meaning


@pytest.mark.parametrize("call", WITHOUT_BODY)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_error_without_a_body_is_classified_by_the_response(
    server: str, classifier: Classifier, call: str, name: str
) -> None:
    error = await raised(call, f"{server}/{name}")
    expected = ANSWERS[name].without_body or ANSWERS[name].meaning
    assert classifier.error(error) == expected
    with suppress(AttributeError):
        error.close()  # type: ignore[attr-defined] # urllib's error is a response, and open


@pytest.mark.parametrize(
    ("call", "name", "expected"),
    [
        ("by_openai_stream", "openai-limited", cooldown(5)),
        ("by_openai_stream", "openai-quota", cooldown(3600)),
        ("by_openai_stream", "openai-broken", FAILURE),
        ("by_anthropic_stream", "anthropic-limited", cooldown(5)),
        ("by_anthropic_stream", "anthropic-overloaded", FAILURE),
    ],
)
async def test_an_error_inside_a_stream_is_classified(
    server: str, classifier: Classifier, call: str, name: str, expected: Classification
) -> None:
    error = await raised(call, f"{server}/{name}")
    assert isinstance(error, clients().ERRORS_IN_STREAMS)
    assert classifier.error(error) == expected


@pytest.mark.parametrize("call", [*WITH_BODY, *WITHOUT_BODY])
async def test_an_unreachable_server_is_a_failure(classifier: Classifier, call: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        error = await raised(call, f"http://127.0.0.1:{bound.getsockname()[1]}/gone")
    assert classifier.error(error) == FAILURE


@pytest.mark.parametrize("call", ["late_httpx", "late_openai", "late_anthropic", "late_aiohttp"])
async def test_a_clients_own_timeout_is_a_failure(classifier: Classifier, call: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = await raised(call, f"http://127.0.0.1:{silent.getsockname()[1]}/silent")
    assert "timeout" in type(error).__name__.lower()
    assert classifier.error(error) == FAILURE
