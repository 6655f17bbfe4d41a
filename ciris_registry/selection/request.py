"""Checks of the arguments of registries, resolves and calls, before anything else happens."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Literal

from tenacity import AsyncRetrying

from ciris_registry.errors import InvalidURLError, RegistrationError
from ciris_registry.names import handler_name, service_type_name
from ciris_registry.registration import checked_capabilities
from ciris_registry.selection.candidates import Request
from ciris_registry.settings import RegistrySettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Consistency = Literal["cached", "exact"]
"""Whether a resolve uses the replica, or asks Redis each time."""


def check_arguments(url: object, naming: object, settings: object) -> None:
    """Check the arguments of a registry, apart from names.

    Raises:
        InvalidURLError: The URL is not a string.
        RegistrationError: ``naming`` or ``settings`` is invalid.
    """
    if not isinstance(url, str | None):
        raise InvalidURLError(f"the URL is of type {type(url).__name__}; use a string")
    if naming not in ("private", "by_class"):  # it may not be hashable
        raise RegistrationError(f"naming is {naming!r}; use 'private' or 'by_class'")
    if not isinstance(settings, RegistrySettings | None):
        kind = type(settings).__name__
        raise RegistrationError(f"settings are of type {kind}; use RegistrySettings")


def check_call(deadline: object, retry: object) -> None:
    """Check the ``deadline`` and the ``retry`` of a guarded call.

    Raises:
        RegistrationError: One of them is invalid.
    """
    if deadline is not None and not (
        isinstance(deadline, int | float) and deadline is not True and 0 < deadline < math.inf
    ):
        raise RegistrationError(f"deadline is {deadline!r}; use seconds, more than 0")
    if retry is None or isinstance(retry, AsyncRetrying):
        return
    if not isinstance(retry, int) or isinstance(retry, bool) or retry < 1:
        raise RegistrationError(
            f"retry is {retry!r:.80}; use a number of rounds from 1, or a tenacity AsyncRetrying"
        )


def is_exact(consistency: object) -> bool:
    """Whether this is ``exact`` and not ``cached``.

    Raises:
        RegistrationError: It is neither.
    """
    if consistency not in ("cached", "exact"):  # it may not be hashable
        raise RegistrationError(f"consistency is {consistency!r}; use 'cached' or 'exact'")
    return consistency == "exact"


def service_types_of(given: Iterable[str | Enum]) -> list[str]:
    """Check several service types.

    Raises:
        RegistrationError: A single string in place of a list.
        InvalidNameError: A name is invalid.
    """
    if isinstance(given, str | Enum):
        raise RegistrationError(
            f"service types are {given!r:.80}; use a list of them (a URL is given as url=…)"
        )
    return [service_type_name(one) for one in given]


def request_of(
    handler: str,
    service_type: str | Enum,
    required_capabilities: Collection[str] | None,
    fallback_to_global: bool,  # passed through
) -> Request:
    """Check the arguments of a resolve and make a request of them.

    Raises:
        InvalidNameError: The handler or service type is invalid.
        RegistrationError: The capabilities are not a collection of strings.
    """
    return Request(
        handler_name(handler),
        service_type_name(service_type),
        frozenset(checked_capabilities(required_capabilities)),
        fallback_to_global,
    )
