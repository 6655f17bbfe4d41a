"""What callers hand over, checked before anything happens."""

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
"""Whether a resolve goes by what the stream has told, or asks Redis."""


def check_arguments(url: object, naming: object, settings: object) -> None:
    """Check what a registry is made with, apart from names.

    Raises:
        LocationError: The URL is not a string.
        RegistrationError: Anything else that is not as described.
    """
    if not isinstance(url, str | None):
        raise InvalidURLError(f"the URL is of type {type(url).__name__}; use a string")
    if naming not in {"private", "by_class"}:
        raise RegistrationError(f"naming is {naming!r}; use 'private' or 'by_class'")
    if not isinstance(settings, RegistrySettings | None):
        kind = type(settings).__name__
        raise RegistrationError(f"settings are of type {kind}; use RegistrySettings")


def check_call(deadline: object, retry: object) -> None:
    """Check how long, and how often, a guarded call is to be tried.

    Raises:
        RegistrationError: Not as described.
    """
    if deadline is not None and not (
        isinstance(deadline, int | float) and deadline is not True and 0 < deadline < math.inf
    ):
        raise RegistrationError(f"deadline is {deadline!r}; use seconds, more than 0")
    if retry is None or isinstance(retry, AsyncRetrying):
        return
    if not isinstance(retry, int) or isinstance(retry, bool) or retry < 1:
        raise RegistrationError(
            f"retry is {retry!r:.80}; use how many attempts to make in all, or a tenacity "
            f"AsyncRetrying"
        )


def is_exact(consistency: object) -> bool:
    """Whether this asks for exact mode.

    Raises:
        RegistrationError: There is no such mode.
    """
    if consistency not in ("cached", "exact"):  # it may not even be hashable
        raise RegistrationError(f"consistency is {consistency!r}; use 'cached' or 'exact'")
    return consistency == "exact"


def service_types_of(given: Iterable[str | Enum]) -> list[str]:
    """Several service types, checked.

    Raises:
        RegistrationError: One string where a list belongs.
        InvalidNameError: One of them cannot be a service type.
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
    """What a caller asks for, checked.

    Raises:
        InvalidNameError: The handler or service type cannot be one.
        RegistrationError: The capabilities are not a collection of strings.
    """
    return Request(
        handler_name(handler),
        service_type_name(service_type),
        frozenset(checked_capabilities(required_capabilities)),
        fallback_to_global,
    )
