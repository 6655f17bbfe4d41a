"""A process that calls every public method again and again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ciris_registry import CircuitBreakerError
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry import ServiceRegistry
    from tests.fleet.work.state import AgentState


class Calling:
    """Calls every method until it ends: the longest time and the failure of each."""

    def __init__(self, registry: ServiceRegistry) -> None:
        self._awaited = awaited(registry)
        self._plain = plain(registry)
        self._going = True
        self._worst: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self._task = asyncio.ensure_future(self._call_all())

    async def end(self) -> dict[str, Any]:
        """Stop, and return what was seen."""
        self._going = False
        await self._task
        return {"worst": self._worst, "failures": self._failures}

    async def _call_all(self) -> None:
        while self._going:
            for name in (*self._awaited, *self._plain):
                began = time.perf_counter()
                try:
                    await self._call(name)
                except CircuitBreakerError as error:
                    if "raise" not in name:
                        self._failures[name] = repr(error)
                except Exception as error:  # noqa: BLE001 # the test looks at it
                    self._failures[name] = repr(error)
                took = time.perf_counter() - began
                self._worst[name] = max(self._worst.get(name, 0), took)
                await asyncio.sleep(0.001)

    async def _call(self, name: str) -> None:
        if name in self._awaited:
            await self._awaited[name]()
        else:
            self._plain[name]()


def awaited(registry: ServiceRegistry) -> dict[str, Callable[[], Awaitable[object]]]:
    """The methods that are awaited."""
    well = registry.breaker("llm", "well")
    return {
        "get_service": lambda: registry.get_service("h", "llm"),
        "get_service, exact": lambda: registry.get_service("h", "llm", consistency="exact"),
        "get_service of an unknown type": lambda: registry.get_service("h", "unheard-of"),
        "get_service_with_fallback": lambda: registry.get_service_with_fallback("h", "llm"),
        "explain": lambda: registry.explain("h", "llm"),
        "wait_ready": lambda: registry.wait_ready(1, ["llm"]),
        "health_check_all": registry.health_check_all,
        "aget_provider_info": registry.aget_provider_info,
        "arecord_success": well.arecord_success,
        "arecord_failure": well.arecord_failure,
        "ais_available": well.ais_available,
        "aget_stats": well.aget_stats,
        "acheck_and_raise": well.acheck_and_raise,
        "acool_down": lambda: registry.breaker("llm", "cooling").acool_down(1),
        "start": registry.start,
    }


def plain(registry: ServiceRegistry) -> dict[str, Callable[[], object]]:
    """The methods that are not."""
    well = registry.breaker("llm", "well")
    return {
        "get_provider_info": registry.get_provider_info,
        "get_services_by_type": lambda: registry.get_services_by_type("llm"),
        "record_success": well.record_success,
        "record_failure": well.record_failure,
        "is_available": well.is_available,
        "check_and_raise": well.check_and_raise,
        "get_stats": well.get_stats,
        "state": lambda: well.state,
        "cool_down": lambda: registry.breaker("llm", "cooling").cool_down(1),
        "health": registry.health,
        "register_global": lambda: registry.register_global("llm", Client(), name="stale"),
        "unregister": lambda: registry.unregister("stale"),
    }


async def call_all(agent: AgentState) -> None:
    """Begin to call them."""
    agent.keep(Calling(agent.registry))


async def stop_calling(agent: AgentState) -> dict[str, Any]:
    """Stop, and return what was seen."""
    return await agent.kept(Calling).end()
