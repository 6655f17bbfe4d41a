"""A service registry whose providers and circuit breakers a whole fleet of processes shares."""

from ciris_registry.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, CircuitState
from ciris_registry.circuit_breaker.outcomes import (
    FAILURE,
    IGNORED,
    SUCCESS,
    Classification,
    cooldown,
)
from ciris_registry.errors import (
    CallTimeoutError,
    CircuitBreakerError,
    ClosedError,
    CorruptStateError,
    DeadlineExceededError,
    EmbeddedServerError,
    ForkedError,
    InvalidNameError,
    InvalidURLError,
    NoProviderError,
    NotAwaitableError,
    ProxyError,
    RegistrationError,
    RegistryError,
    SettingsError,
    StoreError,
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
    "ClosedError",
    "CorruptStateError",
    "DeadlineExceededError",
    "EmbeddedServerError",
    "Event",
    "Explanation",
    "ForkedError",
    "HealthCheckProtocol",
    "InvalidNameError",
    "InvalidURLError",
    "MockService",
    "NoProviderError",
    "NotAwaitableError",
    "Priority",
    "ProxyError",
    "Registration",
    "RegistrationError",
    "RegistryError",
    "RegistryHealth",
    "RegistrySettings",
    "SelectionStrategy",
    "ServiceProvider",
    "ServiceRegistry",
    "SettingsError",
    "StoreError",
    "StoreUnavailableError",
    "__version__",
    "cooldown",
    "get_global_registry",
]
