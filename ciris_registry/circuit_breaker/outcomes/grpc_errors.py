"""The gRPC status of an error, and the HTTP status that means the same.

Read from errors of grpc (``code()``), of google.api_core (``grpc_status_code``) and of grpclib
(``status``), without importing any. No other method of an error is called: those of an unfinished
call wait.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from ciris_registry.circuit_breaker.outcomes.safe_access import attribute, libraries_of, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_LIBRARIES: Final = frozenset({"grpc", "grpclib"})
_Pair = tuple[object, object]
# As google/rpc/code.proto maps them to HTTP, but for three that the table of outcomes ignores:
# DATA_LOSS, UNIMPLEMENTED and OK are no 5xx here.
GRPC_STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "OK": 200,
        "CANCELLED": 499,
        "UNKNOWN": 500,
        "INVALID_ARGUMENT": 400,
        "DEADLINE_EXCEEDED": 504,
        "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409,
        "PERMISSION_DENIED": 403,
        "RESOURCE_EXHAUSTED": 429,
        "FAILED_PRECONDITION": 400,
        "ABORTED": 409,
        "OUT_OF_RANGE": 400,
        "UNIMPLEMENTED": 405,
        "INTERNAL": 500,
        "UNAVAILABLE": 503,
        "DATA_LOSS": 400,
        "UNAUTHENTICATED": 401,
    }
)


def grpc_status_of(error: object) -> str:
    """The name of the gRPC status, such as ``UNAVAILABLE``; empty if the error has none."""
    if is_grpc_error(error):
        status = tried(cast("Callable[[], object]", attribute(error, "code")))
        status = attribute(error, "status") if status is None else status
    else:
        status = attribute(error, "grpc_status_code")
    name = attribute(status, "name") if status is not None else None
    return name if isinstance(name, str) and name in GRPC_STATUSES else ""


def is_grpc_error(error: object) -> bool:
    """Whether the class of an error is one of grpc or grpclib, or derived from one."""
    return not libraries_of(error).isdisjoint(_LIBRARIES)


def metadata_of(error: object) -> list[_Pair]:
    """The trailing metadata of an error of grpc: pairs, as headers are."""
    read = cast(
        "Callable[[], Iterable[tuple[object, object]]]", attribute(error, "trailing_metadata")
    )
    return tried(lambda: list(read())) or []


def details_of(error: object) -> str:
    """The message of an error of grpc."""
    details = tried(cast("Callable[[], object]", attribute(error, "details")))
    return details if isinstance(details, str) else ""
