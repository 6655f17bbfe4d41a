"""selection."""

from ciris_registry.selection.candidates import Rejected, Request
from ciris_registry.selection.concurrency_limit import ConcurrencyLimit
from ciris_registry.selection.health_checks import check_all
from ciris_registry.selection.pick import Pick
from ciris_registry.selection.picker import Picker, key_of
from ciris_registry.selection.request import (
    Consistency,
    check_arguments,
    check_call,
    is_exact,
    request_of,
    service_types_of,
)
from ciris_registry.selection.resolver import Resolver

__all__ = [
    "ConcurrencyLimit",
    "Consistency",
    "Pick",
    "Picker",
    "Rejected",
    "Request",
    "Resolver",
    "check_all",
    "check_arguments",
    "check_call",
    "is_exact",
    "key_of",
    "request_of",
    "service_types_of",
]
