"""The providers that the measurements resolve, and the capabilities that they require."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.registration import Priority, SelectionStrategy

if TYPE_CHECKING:
    from ciris_registry.bench.reference import ReferenceRegistry
    from ciris_registry.registry import ServiceRegistry

HANDLER: Final = "planner"
REQUIRED: Final = ("chat", "tools")
"""The capabilities that each request requires."""

_PRIORITIES: Final = (
    Priority.NORMAL,
    Priority.LOW,
    Priority.CRITICAL,
    Priority.FALLBACK,
    Priority.HIGH,
)


class Client(NamedTuple):
    """A provider without a health check."""

    name: str


class Ranked(NamedTuple):
    """A provider and how it is registered."""

    client: Client
    priority: Priority
    capabilities: tuple[str, ...]


def ranked(count: int) -> list[Ranked]:
    """Providers of every priority, out of order; the first by priority lacks a capability."""
    found: list[Ranked] = []
    for number in range(count):
        priority = _PRIORITIES[number % len(_PRIORITIES)]
        able = REQUIRED[:1] if priority is Priority.CRITICAL else (*REQUIRED, "vision")
        found.append(Ranked(Client(f"provider-{number}"), priority, able))
    return found


def register_ranked(registry: ServiceRegistry, service_type: str, count: int) -> None:
    """Register so many providers for the handler, with the strategy FALLBACK."""
    for one in ranked(count):
        registry.register(
            HANDLER,
            service_type,
            one.client,
            one.priority,
            list(one.capabilities),
            name=one.client.name,
        )


def register_reference(reference: ReferenceRegistry, service_type: str, count: int) -> None:
    """Register the same providers with the reference."""
    for one in ranked(count):
        reference.register(HANDLER, service_type, one.client, one.priority, one.capabilities)


def register_round_robin(registry: ServiceRegistry, service_type: str, count: int) -> None:
    """Register so many providers for all handlers, with the strategy ROUND_ROBIN."""
    for number in range(count):
        client = Client(f"turn-{number}")
        registry.register_global(
            service_type, client, strategy=SelectionStrategy.ROUND_ROBIN, name=client.name
        )
