"""How a process registers the providers that many tests use, and leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerConfig, Priority
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState


async def register_shared(agent: AgentState, /, **config: Any) -> None:
    """Register the provider ``shared``, with these settings of its breaker if there are any."""
    settings = CircuitBreakerConfig(**config) if config else None
    agent.registry.register_global("llm", Client(), name="shared", circuit_breaker_config=settings)
    await agent.registry.flush()


async def register_shared_at(agent: AgentState, priority: str, failure_threshold: int) -> None:
    """Register the provider ``shared`` with a priority."""
    config = CircuitBreakerConfig(failure_threshold=failure_threshold)
    agent.registry.register_global(
        "llm", Client(), Priority[priority], circuit_breaker_config=config, name="shared"
    )
    await agent.registry.flush()


async def register_own(agent: AgentState) -> str:
    """Register a provider of this process alone, and return its name."""
    return agent.registry.register_global("llm", Client())


async def register_shared_and_own(agent: AgentState) -> None:
    """Register the provider ``shared``, and one that has the process id in its name."""
    agent.registry.register_global("llm", Client(), name="shared")
    agent.registry.register_global("llm", Client(), name=f"own-{agent.registry.process_id}")
    await agent.registry.flush()


async def register_names(agent: AgentState, names: list[str]) -> None:
    """Register global providers with these names."""
    for name in names:
        agent.registry.register_global("llm", Client(), name=name)
    await agent.registry.flush()


async def leave_shared(agent: AgentState) -> bool:
    """Unregister the provider ``shared``."""
    return await agent.registry.aunregister("shared")


async def global_names(agent: AgentState) -> list[str]:
    """The names of the global providers in Redis."""
    info = await agent.registry.aget_provider_info(service_type="llm")
    return [one["name"] for one in info["global_services"].get("llm", [])]
