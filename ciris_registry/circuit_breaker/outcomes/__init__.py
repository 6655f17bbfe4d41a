"""circuit_breaker.outcomes."""

from ciris_registry.circuit_breaker.outcomes.classifier import Classification, Classifier, Classify, FAILURE, IGNORED, SUCCESS, cooldown

__all__ = [
    "Classification",
    "Classifier",
    "Classify",
    "FAILURE",
    "IGNORED",
    "SUCCESS",
    "cooldown",
]
