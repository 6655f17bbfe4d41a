"""Types of providers: the health check protocol, the in-process record, the mock service."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ciris_registry.registration import Priority, SelectionStrategy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.circuit_breaker import CircuitBreaker
    from ciris_registry.shared_breaker import BreakerHandle

_log = logging.getLogger(__name__)


@runtime_checkable
class HealthCheckProtocol(Protocol):
    """A provider with a health check."""

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


class MockService:
    """A provider that does nothing: each method can be awaited, logs the call and returns None."""

    def __init__(self, service_type: str) -> None:
        self.service_type = service_type

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        if name.startswith("__"):
            raise AttributeError(name)

        async def method(*_args: object, **_kwargs: object) -> None:
            _log.warning("mock %s service: %s() does nothing", self.service_type, name)

        return method

    def __repr__(self) -> str:
        return f"MockService({self.service_type!r})"
