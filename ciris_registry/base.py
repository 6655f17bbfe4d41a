"""The names of the in-process system's ``base`` module, for programs that import them from it."""

from __future__ import annotations

from ciris_registry.providers import HealthCheckProtocol, ServiceProvider
from ciris_registry.registration import Priority, SelectionStrategy
from ciris_registry.registry import ServiceRegistry, get_global_registry

__all__ = [
    "HealthCheckProtocol",
    "Priority",
    "SelectionStrategy",
    "ServiceProvider",
    "ServiceRegistry",
    "get_global_registry",
]
