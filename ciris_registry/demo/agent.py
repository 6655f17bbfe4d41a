"""An agent: all the code that a program needs to share its providers with a fleet.

It registers its clients and calls them through the registry, which selects a provider, skips those
that are down, records the outcome and fails over. ``agent_process`` runs it and reports its calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ciris_registry import CircuitBreakerConfig, SelectionStrategy
from ciris_registry.demo.client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ciris_registry import ServiceRegistry

SERVICE: Final = "llm"

BREAKER: Final = CircuitBreakerConfig(
    failure_threshold=5, recovery_timeout=2.0, success_threshold=3, timeout_duration=1.5
)
"""The defaults, with shorter times."""


class Llm(Protocol):
    """The interface of a provider."""

    async def complete(self, prompt: str) -> str:
        """The answer to a prompt."""
        ...


class Agent:
    """One agent of the fleet."""

    async def ask(self, prompt: str) -> str:
        """Call through a proxy that has a client's methods."""
        return await self._llm.complete(prompt)

    async def call(self, prompt: str) -> str:
        """Make the same call without a proxy."""
        return await self._registry.call(self._name, SERVICE, Client.complete, prompt)

    def stream(self, prompt: str) -> AsyncIterator[str]:
        """Stream the answer word by word."""
        return self._registry.stream(self._name, SERVICE, Client.words, prompt)

    def __init__(self, registry: ServiceRegistry, name: str, clients: Mapping[str, Client]) -> None:
        self._registry = registry
        self._name = name
        self._llm = registry.proxy(Llm, handler=name, service_type=SERVICE)
        for provider, client in clients.items():
            registry.register_global(
                SERVICE,
                client,
                name=provider,
                circuit_breaker_config=BREAKER,
                strategy=SelectionStrategy.ROUND_ROBIN,
            )
