"""A service registry whose providers and circuit breakers a whole fleet of processes shares.

These are the names that most programs need; the rarer errors are in ``ciris_registry.errors``.
"""

from ciris_registry.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, CircuitState
from ciris_registry.circuit_breaker.outcomes import (
    FAILURE,
    IGNORED,
    SUCCESS,
    Classification,
    cooldown,
    refused,
    unfit,
)
from ciris_registry.errors import (
    CallTimeoutError,
    CircuitBreakerError,
    DeadlineExceededError,
    NoProviderError,
    RegistryError,
    StoreUnavailableError,
)
from ciris_registry.explanation import Explanation
from ciris_registry.health import RegistryHealth
from ciris_registry.providers import HealthCheckProtocol, MockService, ServiceProvider
from ciris_registry.registration import Priority, Registration, SelectionStrategy
from ciris_registry.registry import ServiceRegistry, get_global_registry
from ciris_registry.settings import RegistrySettings
from ciris_registry.shared_breaker import BreakerHandle
from ciris_registry.store import Event
from ciris_registry.version import __version__

__all__ = [
    "FAILURE",
    "IGNORED",
    "SUCCESS",
    "BreakerHandle",
    "CallTimeoutError",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerError",
    "CircuitState",
    "Classification",
    "DeadlineExceededError",
    "Event",
    "Explanation",
    "HealthCheckProtocol",
    "MockService",
    "NoProviderError",
    "Priority",
    "Registration",
    "RegistryError",
    "RegistryHealth",
    "RegistrySettings",
    "SelectionStrategy",
    "ServiceProvider",
    "ServiceRegistry",
    "StoreUnavailableError",
    "__version__",
    "cooldown",
    "get_global_registry",
    "refused",
    "unfit",
]
