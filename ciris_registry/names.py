"""The allowed names of providers, handlers, service types and namespaces.

Redis keys are built only from names that were checked here.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

from ciris_registry.errors import InvalidNameError

GLOBAL: Final = ""
"""The scope of a global registration; other registrations have their handler as scope."""

EVERY_HANDLER: Final = "*"
"""The handler of a registration that serves every handler."""

_LONGEST: Final = 200
_NAME: Final = (re.compile(r"[A-Za-z0-9_.:/-]"), "letters, digits and _ . : / -")
_TYPE: Final = (re.compile(r"[A-Za-z0-9_.-]"), "letters, digits and _ . -")


def plain(value: object) -> object:
    """The value of an enum member, anything else as it is."""
    return value.value if isinstance(value, Enum) else value


@lru_cache(maxsize=4096)
def _checked(kind: str, value: str, *, is_type: bool) -> str:
    alphabet, described = _TYPE if is_type else _NAME
    if not 1 <= len(value) <= _LONGEST:
        shown = value if len(value) <= _LONGEST else f"{value[:20]}…"
        raise InvalidNameError(
            kind, shown, None, f"has {len(value)} characters; use 1 to {_LONGEST} of {described}"
        )
    for character in value:
        if not alphabet.fullmatch(character):
            raise InvalidNameError(
                kind, value, character, f"contains {character!r}; use {described}"
            )
    return value


def _text(kind: str, value: object) -> str:
    text = plain(value)
    if not isinstance(text, str):
        raise InvalidNameError(
            kind,
            repr(value),
            None,
            f"is of type {type(value).__name__}; use a string or a string enum",
        )
    return text


def provider_name(value: object) -> str:
    """Check a provider's name.

    Raises:
        InvalidNameError: Not 1 to 200 letters, digits and ``_ . : / -``.
    """
    return _checked("provider name", _text("provider name", value), is_type=False)


def handler_name(value: object) -> str:
    """Check a handler's name; ``*`` is every handler.

    Raises:
        InvalidNameError: Not ``*`` nor 1 to 200 letters, digits and ``_ . : / -``.
    """
    text = _text("handler", value)
    return text if text == EVERY_HANDLER else _checked("handler", text, is_type=False)


def service_type_name(value: object) -> str:
    """Check a service type, a string or a member of a string enum; return it as text.

    Raises:
        InvalidNameError: Not 1 to 200 letters, digits and ``_ . -``.
    """
    return _checked("service type", _text("service type", value), is_type=True)


def namespace_name(value: object) -> str:
    """Check a namespace.

    Raises:
        InvalidNameError: Not 1 to 200 letters, digits and ``_ . -``.
    """
    return _checked("namespace", _text("namespace", value), is_type=True)


def fits(text: str) -> bool:
    """Whether this text is a valid provider name."""
    return 1 <= len(text) <= _LONGEST and all(_NAME[0].fullmatch(c) for c in text)
