"""The names of providers: chosen by the program, or automatic."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Literal

from ciris_registry.names import fits, provider_name

if TYPE_CHECKING:
    from collections.abc import Callable

Naming = Literal["private", "by_class"]


class Namer:
    """Gives providers their names; an object has one name in all its registrations of a type."""

    def __init__(self, naming: Naming) -> None:
        self._by_class = naming == "by_class"
        self._token = secrets.token_hex(4)
        self._names: dict[tuple[str, int], str] = {}
        self._taken: dict[tuple[str, str], Callable[[], object]] = {}

    def name(
        self, service_type: str, subject: object, given: object, alive: Callable[[], object]
    ) -> tuple[str, str]:
        """The name of a registration's provider, and a warning, empty if there is none.

        ``subject`` is the instance or its factory. ``given`` is the name that the program chose, or
        None. ``alive`` returns the subject while it uses the name.

        Raises:
            InvalidNameError: The given name is invalid.
        """
        if given is not None:
            name = provider_name(given)
            self._taken.setdefault((service_type, name), alive)
            return name, ""
        own = self._names.get((service_type, id(subject)))
        holder = self._taken.get((service_type, own)) if own is not None else None
        if own is not None and holder is not None and holder() is subject:
            return own, ""
        service_name = _service_name(subject)
        first = service_name or self._automatic(subject)
        name, ordinal = first, 1
        while (holder := self._taken.get((service_type, name))) and holder() is not None:
            ordinal += 1
            name = f"{first}_{ordinal}"
        self._names[service_type, id(subject)] = name
        self._taken[service_type, name] = alive
        warning = ""
        if service_name and name != first:
            warning = (
                f"another {service_type} provider of this process is called {first!r} already; "
                f"this one is {name!r}, with a breaker of its own"
            )
        return provider_name(name), warning

    def release(self, service_type: str, name: str) -> None:
        """Make a name available again."""
        holder = self._taken.pop((service_type, name), None)
        subject = holder() if holder is not None else None
        if subject is not None:
            self._names.pop((service_type, id(subject)), None)

    def _automatic(self, subject: object) -> str:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", _own_name(subject))[:150]
        return name if self._by_class else f"{name}_{self._token}"


def _own_name(subject: object) -> str:
    """The object's ``__name__`` if that is a string, else the name of its class."""
    try:
        name = getattr(subject, "__name__", None)
    except Exception:  # noqa: BLE001 # a program's property may raise anything
        name = None
    return name if isinstance(name, str) and name else type(subject).__name__


def _service_name(subject: object) -> str:
    try:
        name = getattr(subject, "service_name", None)
    except Exception:  # noqa: BLE001 # a program's property may raise anything
        return ""
    return name if isinstance(name, str) and fits(name) else ""
