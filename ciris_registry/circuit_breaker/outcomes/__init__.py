"""What an outcome or an error means for its provider: classification by policies and rules.

It reads errors of any HTTP client without importing one. It records nothing and does no I/O.
"""

from ciris_registry.circuit_breaker.outcomes.classification import (
    FAILURE,
    IGNORED,
    PROGRAMMING_ERROR,
    PROGRAMMING_ERRORS,
    SUCCESS,
    Classification,
    Kind,
    Scope,
    cooldown,
    refused,
    unfit,
)
from ciris_registry.circuit_breaker.outcomes.classifier import Classifier, Classify
from ciris_registry.circuit_breaker.outcomes.error_chain import all_wrapped
from ciris_registry.circuit_breaker.outcomes.fault_code import FaultCode
from ciris_registry.circuit_breaker.outcomes.http_status import CooldownDurations

__all__ = [
    "FAILURE",
    "IGNORED",
    "PROGRAMMING_ERROR",
    "PROGRAMMING_ERRORS",
    "SUCCESS",
    "Classification",
    "Classifier",
    "Classify",
    "CooldownDurations",
    "FaultCode",
    "Kind",
    "Scope",
    "all_wrapped",
    "cooldown",
    "refused",
    "unfit",
]
