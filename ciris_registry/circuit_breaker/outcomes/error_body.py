"""The body of an error: its codes, its message, its status, and the waits and headers inside it.

Forms that are read: OpenAI's ``{"error": {"code", "type", "message"}}``, of which its client keeps
the inner part; Anthropic's, with one more level; Google's, inside a list, with ``details`` and
``errors``; AWS's, with capitals; Azure's ``innererror``; OpenRouter's ``metadata``; FastAPI's
``detail``; Telegram's ``parameters``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from ciris_registry.circuit_breaker.outcomes.safe_access import (
    attribute,
    item,
    plain_attribute,
    tried,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_CODE: Final = 100
_LONGEST_BODY: Final = 65_536
_MOST_PARTS: Final = 20
_CODES: Final = ("code", "type", "status", "Code", "reason", "error_type", "quotaId")
_STATUSES: Final = ("code", "status", "status_code", "statusCode", "error_code")
_MESSAGES: Final = ("message", "Message", "description", "msg", "raw")
# Objects in a body that may hold facts, and objects in these, to this depth.
_INSIDE: Final = (
    *("error", "Error", "detail", "errors", "details", "innererror", "metadata", "parameters"),
    *("violations", "response"),
)
_DEEPEST: Final = 8


class Body(NamedTuple):
    """What the body of an error says: ``parts`` are its objects, the outermost first.

    ``codes`` are in lower case, with ``_`` between words.
    """

    parts: tuple[object, ...]
    codes: frozenset[str]
    message: str
    status: int
    headers: object


_EMPTY: Final = Body((), frozenset(), "", 0, None)


def body_of(error: object, response: object) -> Body:
    """Read the body of an error or of its response; no I/O."""
    parts = tuple(_parts(tried(_body, error, response)))
    of_error = [plain_attribute(error, name) for name in ("code", "type", "status")]
    if not parts and not any(isinstance(one, str) for one in of_error):
        return _EMPTY
    codes = [*of_error, *parts, *(item(part, name) for part in parts for name in _CODES)]
    return Body(
        parts,
        frozenset(
            one.strip().lower().replace("-", "_").replace(" ", "_")
            for one in codes
            if isinstance(one, str) and len(one) <= _LONGEST_CODE
        ),
        _message(parts),
        next((status for part in parts if (status := _status(part))), 0),
        next((found for part in parts if (found := item(part, "headers"))), None),
    )


def _message(parts: tuple[object, ...]) -> str:
    """The messages of all parts; the outer one may only say that an inner one was an error."""
    found: dict[str, None] = {}
    for part in parts:
        for text in (part, *(item(part, name) for name in _MESSAGES)):
            if isinstance(text, str) and text:
                found[text] = None
    return "\n".join(found)


def _status(part: object) -> int:
    for name in _STATUSES:
        value = item(part, name)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:  # noqa: PLR2004 # errors
            return value
    return 0


def _parts(body: object) -> Iterator[object]:
    """The objects of a body, breadth first."""
    level: list[object] = [body]
    number = 0
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for one in level:
            if isinstance(one, list):
                inner += cast("list[object]", one)[:_MOST_PARTS]
                continue
            if one is None or isinstance(one, int | float):
                continue
            number += 1
            if number > _MOST_PARTS:
                return
            yield one
            if tried(isinstance, one, Mapping):
                inner += (value for name in _INSIDE if (value := item(one, name)) is not None)
        level = inner


def _body(error: object, response: object) -> object:
    body = attribute(error, "body")
    if body is None:
        body = _content(response)
    if body is None:
        body = attribute(error, "json_body")  # of stripe
    if body is None:
        body = attribute(error, "details")  # google.genai has the body there
        if not tried(isinstance, body, Mapping | list):
            return None
    if isinstance(body, str | bytes):
        if len(body) > _LONGEST_BODY:
            return None
        body = tried(json.loads, body) or body
    return body


def _content(response: object) -> object:
    if isinstance(response, Mapping):
        return cast("object", response)
    # Set by httpx and requests once the body was read, so that this does no I/O.
    if True in (attribute(response, "is_closed"), attribute(response, "_content_consumed")):
        return attribute(response, "content")
    return None
