"""The result of ``get_provider_info``, keyed as in the in-process CIRIS registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry.names import GLOBAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ciris_registry.cache import Snapshot
    from ciris_registry.registration import Registration
    from ciris_registry.shared_breaker import BreakerHandle


def provider_info(
    snapshots: Iterable[Snapshot],
    handle_of: Callable[[str, str], BreakerHandle],
    handler: str | None,
    service_type: str | None,
) -> dict[str, Any]:
    """Registrations by handler, global registrations, and the breakers of all of them."""
    handlers: dict[str, dict[str, list[dict[str, Any]]]] = {}
    global_services: dict[str, list[dict[str, Any]]] = {}
    breakers: dict[str, dict[str, Any]] = {}
    for snapshot in snapshots:
        if service_type not in {None, snapshot.service_type}:
            continue
        for one in snapshot.registrations:
            if handler is not None and one.scope not in {GLOBAL, handler}:
                continue
            stats = handle_of(one.service_type, one.name).get_stats()
            breakers[_stats_key(breakers, one, stats)] = stats
            services = (
                global_services if one.scope == GLOBAL else handlers.setdefault(one.scope, {})
            )
            services.setdefault(one.service_type, []).append(_described(one, stats["state"]))
    return {
        "handlers": handlers,
        "global_services": global_services,
        "circuit_breaker_stats": breakers,
    }


def _stats_key(
    breakers: dict[str, dict[str, Any]], one: Registration, stats: dict[str, Any]
) -> str:
    """The provider's name; ``service_type/name`` where another service type has the name too."""
    stats["service_type"] = one.service_type
    taken = breakers.get(one.name)
    if taken is None or taken["service_type"] == one.service_type:
        return one.name
    return f"{one.service_type}/{one.name}"


def _described(one: Registration, state: str) -> dict[str, Any]:
    return {
        "name": one.name,
        "priority": one.priority.name,
        "priority_group": one.priority_group,
        "strategy": one.strategy.value,
        "capabilities": list(one.capabilities),
        "metadata": dict(one.metadata),
        "weight": one.weight,
        "max_in_flight": one.max_in_flight,
        "circuit_breaker_state": state,
    }
