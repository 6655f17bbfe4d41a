"""The facts of an error: status, headers, error codes, message and waits of the response.

Found by duck typing in the errors of httpx, openai, anthropic, aiohttp, urllib, requests, botocore,
google, grpc and of frameworks that wrap them, without importing any of them. No I/O: an unread body
is not read. An attribute that raises counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

from ciris_registry.circuit_breaker.outcomes.error_body import body_of
from ciris_registry.circuit_breaker.outcomes.error_chain import chain_of
from ciris_registry.circuit_breaker.outcomes.grpc_errors import (
    GRPC_STATUSES,
    details_of,
    grpc_status_of,
    is_grpc_error,
    metadata_of,
)
from ciris_registry.circuit_breaker.outcomes.retry_info import wait_in_words, waits_in, waits_of
from ciris_registry.circuit_breaker.outcomes.safe_access import (
    attribute,
    item,
    libraries_of,
    plain_attribute,
    tried,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ciris_registry.circuit_breaker.outcomes.retry_after import Wait

_MOST_HEADERS: Final = 200
# Parts of the names of headers that say how long to wait; no other header counts.
_WAITS: Final = re.compile("retry|rate|^date$")
_LONGEST_TEXT: Final = 2_000
_STATUSES: Final = range(100, 600)
_OK: Final = 200
_LIBRARIES: Final = frozenset(
    {
        "aiohttp",
        "azure",
        "google",
        "http",
        "httpx",
        "httpx2",
        "requests",
        "starlette",
        "tornado",
        "urllib",
    }
    | {"urllib3", "werkzeug"}
)
"""Libraries whose errors have an HTTP status in ``code``, whatever else they have."""
_READ: Final = (
    *("response", "status_code", "status", "headers", "body", "details", "retry_after"),
    *("grpc_status_code", "type", "message", "http_status"),
)
"""An error without any of these, and without a ``code``, has no facts."""
_HTTP_ATTRIBUTES: Final = ("headers", "hdrs", "body", "response", "url", "request", "request_info")


@dataclass(slots=True)
class HTTPFacts:
    """Facts of the error itself, and of what it wraps where it has none.

    ``status`` is 0 if there is none; ``grpc`` is the name of a gRPC status. ``headers`` are those
    that may say how long to wait. Names of ``headers`` and ``codes`` are in lower case, codes with
    ``_`` between words. ``message`` is the body's, else the error's, in lower case. ``waits`` are
    those that no header names, ``spoken`` one in the words of the message, ``of_body`` headers
    inside the body.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    codes: frozenset[str] = frozenset()
    message: str = ""
    waits: list[Wait] = field(default_factory=list["Wait"])
    spoken: tuple[Wait, ...] = ()
    grpc: str = ""
    of_body: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_known(self) -> bool:
        """Whether there is any fact that classifies the error."""
        return bool(self.status or self.codes or self.waits)


def http_facts_of(error: object) -> HTTPFacts:
    """Read the facts of an error and of what it wraps."""
    facts = HTTPFacts()
    said = ""
    for one in chain_of(error, lambda: facts.is_known):
        if not _has_any(one, _READ) and plain_attribute(one, "code") is None:
            continue
        tried(_add, facts, one, attribute(one, "response"))
        if facts.status and facts.headers and facts.message:
            break
        if not said and facts.status:
            said = tried(str, one) or ""
    facts.message = (facts.message or said)[:_LONGEST_TEXT].lower().replace("\u2019", "'")
    if facts.message and (wait := wait_in_words(facts.message)):
        facts.spoken = (wait,)
    facts.headers = {**facts.of_body, **facts.headers}
    return facts


def _add(facts: HTTPFacts, error: object, response: object) -> None:
    body = body_of(error, response)
    if not facts.status:
        facts.grpc = grpc_status_of(error)
        status = GRPC_STATUSES.get(facts.grpc, 0) or _status(error, response)
        # An error inside a stream has the stream's status.
        facts.status = body.status if status <= _OK and body.status else status
        facts.codes |= {facts.grpc.lower()} if facts.grpc else set()
    facts.codes |= body.codes
    facts.headers = facts.headers or _headers(error, response)
    facts.of_body = facts.of_body or _read(body.headers)
    facts.message = facts.message or body.message or _own_message(error)
    facts.waits += waits_in(body.parts)
    facts.waits += waits_of(error)


def _own_message(error: object) -> str:
    if is_grpc_error(error):
        return details_of(error)
    message = attribute(error, "message")
    return message if isinstance(message, str) else ""


def _status(error: object, response: object) -> int:
    for holder, name in (
        (response, "status_code"),
        (response, "status"),
        (error, "status_code"),
        (error, "status"),
        (error, "http_status"),  # of stripe
    ):
        if status := tried(_as_status, attribute(holder, name)):
            return status
    if status := tried(_as_status, item(item(response, "ResponseMetadata"), "HTTPStatusCode")):
        return status
    # Reading aiohttp's ``code`` raises a warning, so ``code`` comes last. Web sockets, databases
    # and SSH have codes too.
    code: object = plain_attribute(error, "code")
    if not isinstance(code, HTTPStatus):
        code = attribute(error, "code") if _is_http(error) else None
    return tried(_as_status, code) or 0


def _is_http(error: object) -> bool:
    return _has_any(error, _HTTP_ATTRIBUTES) or not libraries_of(error).isdisjoint(_LIBRARIES)


def _has_any(error: object, names: tuple[str, ...]) -> bool:
    for name in names:  # noqa: SIM110 # a generator would take twice the time
        if attribute(error, name) is not None:
            return True
    return False


def _as_status(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in _STATUSES:
        return int(value)
    return 0


def _headers(error: object, response: object) -> dict[str, str]:
    for source in (
        attribute(response, "headers"),
        attribute(error, "headers"),
        item(item(response, "ResponseMetadata"), "HTTPHeaders"),
        metadata_of(error) if is_grpc_error(error) else None,
    ):
        if found := tried(_read, source):
            return found
    return {}


def _read(source: object) -> dict[str, str]:
    pairs: Iterable[Sequence[object]] = ()
    # No other object is iterated: that could do anything.
    if isinstance(source, Mapping | Message):
        pairs = cast("Mapping[object, object]", source).items()
    elif isinstance(source, list | tuple):
        pairs = cast("Sequence[Sequence[object]]", source)
    found: dict[str, str] = {}
    for pair in islice(pairs, _MOST_HEADERS):
        name = pair[0]
        name = (name if type(name) is str else tried(_text, name) or "").lower()
        if _WAITS.search(name) and (text := tried(_text, pair[-1])):
            # As RFC 9110 joins a header that is given more than once.
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _text(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.strip()[:_LONGEST_TEXT]
