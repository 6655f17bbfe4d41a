"""Choosing a provider: candidates, picker, round robin, health checks, admission, slots.

It gives a pick that may be called. It makes no calls, and decides no state of a breaker.
"""

from ciris_registry.selection.admission import Admission
from ciris_registry.selection.api import Resolving, ResolvingMethods
from ciris_registry.selection.candidates import Rejected, Request
from ciris_registry.selection.concurrency_limit import ConcurrencyLimit, Slot
from ciris_registry.selection.explain import Explainer, explanation_of
from ciris_registry.selection.health_checks import check_all
from ciris_registry.selection.pick import Pick
from ciris_registry.selection.picker import Picker, Pickers, key_of
from ciris_registry.selection.request import (
    Consistency,
    check_arguments,
    check_call,
    is_exact,
    request_of,
    service_types_of,
)
from ciris_registry.selection.resolver import Resolver
from ciris_registry.selection.round_robin import RoundRobins

__all__ = [
    "Admission",
    "ConcurrencyLimit",
    "Consistency",
    "Explainer",
    "Pick",
    "Picker",
    "Pickers",
    "Rejected",
    "Request",
    "Resolver",
    "Resolving",
    "ResolvingMethods",
    "RoundRobins",
    "Slot",
    "check_all",
    "check_arguments",
    "check_call",
    "explanation_of",
    "is_exact",
    "key_of",
    "request_of",
    "service_types_of",
]
