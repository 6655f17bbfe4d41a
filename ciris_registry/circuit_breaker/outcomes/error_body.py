"""The codes and the message of an error, from the error and from the body of its response.

Forms that are read: OpenAI's ``{"error": {"code", "type", "message"}}``, of which its client keeps
the inner part; Anthropic's, with one more level; Google's, inside a list; AWS's, with capitals;
FastAPI's ``detail``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Final, cast

from ciris_registry.circuit_breaker.outcomes.safe_access import attribute, item, tried

_LONGEST_CODE: Final = 100
_LONGEST_BODY: Final = 65_536


def codes_of(error: object, response: object) -> frozenset[str]:
    """Every code of an error and of its body, in lower case, with ``_`` between words."""
    # Not getattr: reading aiohttp's ``code`` raises a warning.
    found = [inspect.getattr_static(error, name, None) for name in ("code", "type")]
    for part in _parts(error, response):
        found.append(part)
        found += [item(part, name) for name in ("code", "type", "status", "Code")]
    return frozenset(
        one.strip().lower().replace("-", "_").replace(" ", "_")
        for one in found
        if isinstance(one, str) and len(one) <= _LONGEST_CODE
    )


def message_of(error: object, response: object) -> str:
    """The message of the body; empty if it has none."""
    for part in _parts(error, response):
        for text in (part, item(part, "message"), item(part, "Message")):
            if isinstance(text, str) and text:
                return text
    return ""


def _parts(error: object, response: object) -> list[object]:
    """The body and the objects inside it that may hold codes."""
    body = tried(_body, error, response)
    return [body, *(item(body, name) for name in ("error", "Error", "detail"))]


def _body(error: object, response: object) -> object:
    body = attribute(error, "body")
    if body is None:
        body = _content(response)
    if isinstance(body, str | bytes):
        if len(body) > _LONGEST_BODY:
            return None
        body = tried(json.loads, body) or body
    if isinstance(body, list):
        members = cast("list[object]", body)
        return members[0] if members else None
    return body


def _content(response: object) -> object:
    if isinstance(response, Mapping):
        return cast("object", response)
    # Set by httpx and requests once the body was read, so that this does no I/O.
    if True in (attribute(response, "is_closed"), attribute(response, "_content_consumed")):
        return attribute(response, "content")
    return None
