"""The HTTP facts of an error: status, headers and error codes of the response.

Found by duck typing in the errors of httpx, openai, anthropic, aiohttp, urllib, requests, botocore
and of frameworks that wrap them, without importing any of them. No I/O: an unread body is not
read. An attribute that raises counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar, cast

from ciris_registry.circuit_breaker.outcomes.error_body import codes_of, message_of
from ciris_registry.circuit_breaker.outcomes.safe_access import attribute, item, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_T = TypeVar("_T")
_Link = tuple[object, object]
"""An error and its response."""

# Frameworks wrap once or twice; a longer chain comes from layers of the program.
_MOST_CAUSES: Final = 5
_MOST_HEADERS: Final = 200
_LONGEST_TEXT: Final = 2_000
_STATUSES: Final = range(100, 1000)


@dataclass(frozen=True, slots=True)
class HTTPFacts:
    """Facts of the error itself, and of its causes where it has none.

    ``status`` is 0 if there is none. Names of ``headers`` and ``codes`` are in lower case, codes
    with ``_`` between words. ``message`` is the body's, else the error's, in lower case.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    codes: frozenset[str] = frozenset()
    message: str = ""


def http_facts_of(error: object) -> HTTPFacts:
    """Read the HTTP facts of an error and its causes."""
    links = [(one, attribute(one, "response")) for one in _chain(error)]
    status = _first(_status, links) or 0
    codes = [codes for link in links if (codes := tried(codes_of, *link))]
    message = _first(message_of, links) or _first(_text_of_status, links) or ""
    return HTTPFacts(
        status,
        _first(_headers, links) or {},
        frozenset[str]().union(*codes),
        message[:_LONGEST_TEXT].lower(),
    )


def _first(read: Callable[[object, object], _T], links: Sequence[_Link]) -> _T | None:
    """The first result that is not empty."""
    return next((found for link in links if (found := tried(read, *link))), None)


def _chain(error: object) -> Iterator[object]:
    seen: list[object] = []
    while error is not None and len(seen) <= _MOST_CAUSES:
        if any(error is one for one in seen):
            return
        seen.append(error)
        yield error
        error = attribute(error, "__cause__")


def _status(error: object, response: object) -> int:
    # Reading aiohttp's ``code`` raises a warning, so ``code`` comes last.
    for holder, name in (
        (response, "status_code"),
        (response, "status"),
        (error, "status_code"),
        (error, "status"),
        (error, "code"),
    ):
        if status := tried(_as_status, attribute(holder, name)):
            return status
    return _as_status(item(item(response, "ResponseMetadata"), "HTTPStatusCode"))


def _text_of_status(error: object, response: object) -> str:
    return str(error) if _status(error, response) else ""


def _as_status(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in _STATUSES:
        return int(value)
    return 0


def _headers(error: object, response: object) -> dict[str, str]:
    for source in (
        attribute(response, "headers"),
        attribute(error, "headers"),
        item(item(response, "ResponseMetadata"), "HTTPHeaders"),
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
        name, text = tried(_text, pair[0]), tried(_text, pair[-1])
        if name and text:
            found.setdefault(name.lower(), text)
    return found


def _text(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.strip()[:_LONGEST_TEXT]
