"""circuit_breaker.outcomes."""

from ciris_registry.circuit_breaker.outcomes.classifier import (
    FAILURE,
    IGNORED,
    SUCCESS,
    Classification,
    Classifier,
    Classify,
    CooldownDurations,
    cooldown,
)

__all__ = [
    "FAILURE",
    "IGNORED",
    "SUCCESS",
    "Classification",
    "Classifier",
    "Classify",
    "CooldownDurations",
    "cooldown",
]
