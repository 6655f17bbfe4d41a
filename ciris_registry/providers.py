"""What a provider is, to a program: the object and what was said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ciris_registry.registration import Priority, SelectionStrategy

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker import CircuitBreaker
    from ciris_registry.shared_breaker import BreakerHandle


@runtime_checkable
class HealthCheckProtocol(Protocol):
    """A provider that can be asked whether it is healthy."""

    async def is_healthy(self) -> bool:
        """Whether it is ready to handle requests."""
        ...


@dataclass
class ServiceProvider:
    """A registered provider with its instance, as the in-process CIRIS registry has it."""

    name: str
    priority: Priority
    instance: Any
    capabilities: list[str]
    circuit_breaker: CircuitBreaker | BreakerHandle | None = None
    metadata: dict[str, Any] | None = field(default=None)
    priority_group: int = 0
    strategy: SelectionStrategy = SelectionStrategy.FALLBACK
