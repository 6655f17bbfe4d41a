"""The registrations that every process of the fleet makes: a round robin and a watched provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ciris_registry.bench.plan import FLEET_PROVIDERS
from ciris_registry.bench.providers import Client, register_round_robin
from ciris_registry.circuit_breaker import CircuitBreakerConfig

if TYPE_CHECKING:
    from ciris_registry.registry import ServiceRegistry

ROUND_ROBIN: Final = "turns"
WATCHED: Final = "watched"
PROVIDER: Final = "only"
"""The service types of the fleet, and the one provider of the second."""

BREAKER: Final = CircuitBreakerConfig(failure_threshold=5, recovery_timeout=600.0)


async def join(registry: ServiceRegistry) -> None:
    """Register what the whole fleet registers; it is in Redis when this returns."""
    register_round_robin(registry, ROUND_ROBIN, FLEET_PROVIDERS)
    registry.register_global(
        WATCHED, Client(PROVIDER), circuit_breaker_config=BREAKER, name=PROVIDER
    )
    await registry.flush()
