"""The bare algorithm of the in-process CIRIS registry, only to compare its speed.

It follows the listing of ``get_service`` in that system's documentation, and is asynchronous as
well: find the handler's providers, group and sort them, check capabilities and breaker, return the
first that passes. It has no logging, no health checks and no strategy but FALLBACK. The defects of
the original are kept: a resolve counts as a success, HALF_OPEN lets every call through, and
``is_available`` changes the state.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ciris_registry.circuit_breaker import CircuitBreakerConfig, CircuitState
from ciris_registry.registration import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence


class ReferenceBreaker:
    """The breaker of the listing: one process, a streak of failures, wall-clock time."""

    def __init__(self) -> None:
        self.config = CircuitBreakerConfig()
        self.state = CircuitState.CLOSED
        self.failure_count = 0
        self.success_count = 0
        self._opened = 0.0

    def is_available(self) -> bool:
        """Whether a call may be made; turns OPEN into HALF_OPEN after the recovery timeout."""
        if self.state is CircuitState.CLOSED:
            return True
        if self.state is CircuitState.OPEN:
            if time.time() - self._opened < self.config.recovery_timeout:
                return False
            self.state, self.success_count = CircuitState.HALF_OPEN, 0
        return True

    def record_failure(self) -> None:
        """Count a failure, which may open the breaker."""
        self.failure_count += 1
        if self.state is CircuitState.CLOSED and self.failure_count < self.config.failure_threshold:
            return
        self.state, self._opened = CircuitState.OPEN, time.time()

    def record_success(self) -> None:
        """Count a success, which may close the breaker."""
        if self.state is CircuitState.HALF_OPEN:
            self.success_count += 1
            if self.success_count >= self.config.success_threshold:
                self.state, self.failure_count = CircuitState.CLOSED, 0


@dataclass
class ReferenceProvider:
    """A registered instance."""

    instance: Any
    priority: Priority
    capabilities: list[str]
    priority_group: int
    circuit_breaker: ReferenceBreaker = field(default_factory=ReferenceBreaker)


class ReferenceRegistry:
    """Dictionaries of lists, sorted and searched on each resolve."""

    def __init__(self) -> None:
        self._providers: dict[str, dict[str, list[ReferenceProvider]]] = {}
        self._global_services: dict[str, list[ReferenceProvider]] = {}

    def register(
        self,
        handler: str | None,
        service_type: str,
        instance: object,
        priority: Priority = Priority.NORMAL,
        capabilities: Sequence[str] = (),
        priority_group: int = 0,
    ) -> ReferenceBreaker:
        """Register an instance for a handler, or for all handlers (None); returns its breaker."""
        found = ReferenceProvider(instance, priority, list(capabilities), priority_group)
        services = (
            self._global_services if handler is None else self._providers.setdefault(handler, {})
        )
        services.setdefault(service_type, []).append(found)
        return found.circuit_breaker

    async def get_service(
        self,
        handler: str,
        service_type: str,
        required_capabilities: Sequence[str] | None = None,
        fallback_to_global: bool = True,  # the listing's signature
    ) -> Any:
        """The best available instance, or None."""
        own = self._providers.get(handler, {}).get(service_type, [])
        service = await self._first_of(own, required_capabilities)
        if service is None and fallback_to_global:
            all_ = self._global_services.get(service_type, [])
            service = await self._first_of(all_, required_capabilities)
        return service

    async def _first_of(
        self, providers: list[ReferenceProvider], required: Sequence[str] | None
    ) -> Any:
        grouped: dict[int, list[ReferenceProvider]] = {}
        for one in providers:
            grouped.setdefault(one.priority_group, []).append(one)
        for group in sorted(grouped):
            for one in sorted(grouped[group], key=lambda each: each.priority.value):
                service = await self._validated(one, required)
                if service is not None:
                    return service
        return None

    async def _validated(self, one: ReferenceProvider, required: Sequence[str] | None) -> Any:
        if required and not all(each in one.capabilities for each in required):
            return None
        if not one.circuit_breaker.is_available():
            return None
        one.circuit_breaker.record_success()
        return one.instance
