"""Status, headers and codes of a response are found in the errors of any library."""

from __future__ import annotations

from email.message import Message
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.error import HTTPError

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ciris_registry.circuit_breaker.outcomes.http_errors import http_facts_of


class FakeError(Exception):
    """An error with attributes."""

    def __init__(self, text: str = "", **attributes: Any) -> None:
        super().__init__(text)
        vars(self).update(attributes)


class Hostile:
    """Raises from every operation."""

    def _raise(self, *_: object) -> NoReturn:
        raise RuntimeError("a hostile object")

    __getattr__ = __eq__ = __bool__ = __len__ = __iter__ = __str__ = __repr__ = _raise
    __getitem__ = __int__ = __contains__ = __hash__ = _raise


class HostileError(Exception):
    """Raises from every attribute."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(name)

    def __str__(self) -> NoReturn:
        raise RuntimeError("a hostile object")


class RefusedResponse(SimpleNamespace):
    """Is false, as the responses of requests are."""

    def __bool__(self) -> bool:
        return False


def caused(error: Exception, by: BaseException) -> Exception:
    error.__cause__ = by
    return error


def chain(length: int, last: Exception) -> Exception:
    for _ in range(length):
        last = caused(FakeError(), last)
    return last


BOTO = {
    "Error": {"Code": "ThrottlingException", "Message": "Too many requests"},
    "ResponseMetadata": {"HTTPStatusCode": 400, "HTTPHeaders": {"Retry-After": "3"}},
}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FakeError(response=SimpleNamespace(status_code=429)), 429),
        (FakeError(response=SimpleNamespace(status=429)), 429),
        (FakeError(response=RefusedResponse(status_code=429)), 429),
        (FakeError(response=BOTO), 400),
        (FakeError(status_code=429), 429),
        (FakeError(status=429), 429),
        (FakeError(code=429), 0),
        (FakeError(code=429, url="https://x"), 429),
        (FakeError(code=429, headers={}), 429),
        (FakeError(code=429, body={}), 429),
        (HTTPError("https://x", 429, "", Message(), None), 429),
        (FakeError(code=HTTPStatus.TOO_MANY_REQUESTS), 429),
        (FakeError(code="rate_limit_exceeded", status_code=429), 429),
        (FakeError(response=SimpleNamespace(status_code=503), status_code=429), 503),
        (caused(FakeError(), FakeError(status=429)), 429),
        (caused(FakeError(status=500), FakeError(status=429)), 500),
        (chain(5, FakeError(status=429)), 429),
        (chain(6, FakeError(status=429)), 0),
        (FakeError(status_code=True), 0),
        (FakeError(status_code="429"), 0),
        (FakeError(status_code=429.0), 0),
        (FakeError(code=1006), 0),
        (FakeError(code=1006, headers={}), 0),
        (FakeError(status=999), 0),
        (FakeError(code=2), 0),
        (ValueError("HTTP 429"), 0),
    ],
)
def test_a_status_is_a_whole_number_in_a_known_attribute(error: Exception, status: int) -> None:
    assert http_facts_of(error).status == status


def test_errors_that_cause_each_other_are_read_once() -> None:
    error = FakeError()
    error.__cause__ = caused(FakeError(status=429), error)
    assert http_facts_of(error).status == 429


def mail() -> Message:
    message = Message()
    message["Retry-After"] = "3"
    return message


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "3"},
        {"Retry-After": 3},
        {b"RETRY-AFTER": b"3"},
        mail(),
        [(b"retry-after", b"3")],
        (["Retry-After", "3"],),
        [("x", Hostile()), (Hostile(), "x"), ("Retry-After", "3")],
    ],
)
def test_headers_are_read_in_each_form(headers: Any) -> None:
    assert http_facts_of(FakeError(headers=headers)).headers == {"retry-after": "3"}
    response = SimpleNamespace(headers=headers)
    assert http_facts_of(FakeError(response=response)).headers == {"retry-after": "3"}
    assert http_facts_of(caused(FakeError(headers={}), FakeError(headers=headers))).headers


def test_a_header_that_is_given_twice_is_joined() -> None:
    twice = [("Retry-After", "3"), ("retry-after", "9")]
    assert http_facts_of(FakeError(headers=twice)).headers == {"retry-after": "3, 9"}


@pytest.mark.parametrize("headers", [None, 7, "Retry-After: 3", [7], [()], object()])
def test_other_objects_are_not_read_as_headers(headers: Any) -> None:
    assert http_facts_of(FakeError(headers=headers)).headers == {}


@pytest.mark.parametrize(
    "error",
    [
        FakeError(code="insufficient_quota"),
        FakeError(type="Insufficient-Quota"),
        FakeError(body={"code": None, "type": "insufficient_quota"}),
        FakeError(body={"error": {"code": "insufficient_quota"}}),
        FakeError(body={"detail": {"status": "insufficient_quota"}}),
        FakeError(body={"error": "insufficient_quota"}),
        FakeError(body=[{"error": {"code": "insufficient_quota"}}]),
        FakeError(body='{"error": {"code": "insufficient_quota"}}'),
        FakeError(response={"Error": {"Code": "insufficient quota"}}),
        FakeError(
            response=SimpleNamespace(
                is_closed=True, content=b'{"error":{"code":"insufficient_quota"}}'
            )
        ),
        FakeError(
            response=SimpleNamespace(
                _content_consumed=True, content='{"type":"insufficient_quota"}'
            )
        ),
        chain(2, FakeError(code="insufficient_quota")),
    ],
)
def test_codes_are_read_from_the_error_and_its_body(error: Exception) -> None:
    assert "insufficient_quota" in http_facts_of(error).codes


def test_an_unread_body_is_not_read() -> None:
    class Response:
        status_code = 429

        @property
        def content(self) -> bytes:
            raise AssertionError("this reads from the network")

    assert http_facts_of(FakeError(response=Response())).status == 429


def test_an_attribute_that_warns_is_not_read() -> None:
    class Response(Exception):  # noqa: N818 # as aiohttp's, which warns of its code
        status = 429

        @property
        def code(self) -> int:
            raise AssertionError("aiohttp warns here")

    assert http_facts_of(Response()).status == 429


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FakeError("outer", status=400, body={"message": "Inner"}), "inner"),
        (FakeError("outer", status=400, body={"error": {"message": "Inner"}}), "inner"),
        (FakeError("outer", status=400, body={"Error": {"Message": "Inner"}}), "inner"),
        (FakeError("outer", status=400, body={"error": "Inner"}), "inner"),
        (FakeError("outer", status=400, body={"detail": "Inner"}), "inner"),
        (FakeError("outer", status=400, body="Inner"), "inner"),
        (FakeError("Outer", status=400), "outer"),
        (FakeError("Outer", status=400, body="x" * 70_000), "outer"),
        (caused(FakeError("wrapper"), FakeError("Outer", status=400)), "outer"),
        (FakeError("outer"), ""),
    ],
)
def test_the_message_is_the_bodys_or_the_errors(error: Exception, message: str) -> None:
    assert http_facts_of(error).message == message


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Hostile),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["response", "status_code", "status", "code", "type", "body", "headers", "__cause__"]
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of the machine, not of the strategy
@given(st.dictionaries(NAMES, ANYTHING), st.dictionaries(NAMES, ANYTHING))
def test_reading_an_error_never_raises(
    attributes: dict[str, Any], of_response: dict[str, Any]
) -> None:
    cause = attributes.pop("__cause__", None)
    http_facts_of(FakeError(**attributes))
    http_facts_of(FakeError(**{**attributes, "response": SimpleNamespace(**of_response)}))
    http_facts_of(caused(FakeError(**attributes), FakeError(cause=cause, **of_response)))


def test_an_attribute_that_raises_counts_as_absent() -> None:
    assert http_facts_of(FakeError(response=Hostile(), status=429)).status == 429
    assert http_facts_of(FakeError(status_code=Hostile(), status=429)).status == 429
    assert http_facts_of(FakeError(response=SimpleNamespace(headers=Hostile()))).headers == {}
    assert http_facts_of(caused(FakeError(), HostileError())).status == 0
    for one in (Hostile(), HostileError(), None, 7, "429"):
        assert http_facts_of(one).status == 0
