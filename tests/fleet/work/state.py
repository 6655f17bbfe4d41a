"""What an agent process keeps between one piece of work and the next."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ciris_registry import RegistrySettings, ServiceRegistry

if TYPE_CHECKING:
    from ciris_registry import BreakerHandle

_K = TypeVar("_K")


class Client:
    """A provider."""

    def __init__(self, name: str = "client") -> None:
        self.name = name


class AgentState:
    """The registry of the process, a handle on one breaker, and what work has kept."""

    def __init__(self, registry: ServiceRegistry) -> None:
        self.registry = registry
        self._kept: dict[type, Any] = {}

    @cached_property
    def handle(self) -> BreakerHandle:
        """The handle on the breaker of the provider ``shared`` of the service type ``llm``."""
        return self.registry.breaker("llm", "shared")

    def drop_handle(self) -> None:
        """Hold no handle until the next use of ``handle``."""
        self.__dict__.pop("handle", None)

    def breaker(self, name: str) -> BreakerHandle:
        """A handle on the breaker of a provider of the service type ``llm``."""
        return self.handle if name == "shared" else self.registry.breaker("llm", name)

    def keep(self, value: object) -> None:
        """Keep a value for later work, in place of an earlier one of the same type."""
        self._kept[type(value)] = value

    def kept(self, kind: type[_K]) -> _K:
        """The kept value of this type."""
        value: _K = self._kept[kind]
        return value


async def join(agent: AgentState, settings: dict[str, Any], options: dict[str, Any]) -> str:
    """Go on with a new registry, and return its process id."""
    agent.registry = ServiceRegistry(settings=RegistrySettings(**settings), **options)
    agent.drop_handle()
    assert agent.handle
    return agent.registry.process_id


async def leave(agent: AgentState) -> str:
    """Close the registry."""
    try:
        await agent.registry.aclose()
    except BaseException as error:  # noqa: BLE001 # the test process raises it
        return f"leaving failed: {error!r}"
    return "left"
