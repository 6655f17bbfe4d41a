"""Ends in one of many ways, none of which closes its registry.

Arguments: the URL, and the name of the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Final

from ciris_registry import CircuitBreakerConfig, ServiceRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

ONCE: Final = CircuitBreakerConfig(failure_threshold=1)


class Unhealthy:
    """A provider whose health check says no."""

    async def is_healthy(self) -> bool:
        """No."""
        return False


def nothing_was_awaited(registry: ServiceRegistry) -> None:
    registry.register("h", "llm", object())


def registered_in_its_last_line(registry: ServiceRegistry) -> None:
    async def main() -> None:
        await registry.get_service("h", "llm")
        registry.register("h", "llm", object(), name="last")

    asyncio.run(main())


def resolved(registry: ServiceRegistry) -> None:
    async def main() -> None:
        client = object()
        registry.register("h", "llm", client)
        assert await registry.get_service("h", "llm") is client

    asyncio.run(main())


def opened_a_breaker(registry: ServiceRegistry) -> None:
    async def main() -> None:
        name = registry.register("h", "llm", object(), circuit_breaker_config=ONCE)
        await registry.breaker("llm", name).arecord_failure()

    asyncio.run(main())


def opened_a_breaker_and_did_not_wait(registry: ServiceRegistry) -> None:
    async def main() -> None:
        name = registry.register("h", "llm", object(), circuit_breaker_config=ONCE, name="a")
        assert await registry.get_service("h", "llm")
        registry.breaker("llm", name).record_failure()

    asyncio.run(main())


def a_health_check_opened_a_breaker(registry: ServiceRegistry) -> None:
    async def main() -> None:
        registry.register("h", "llm", Unhealthy(), circuit_breaker_config=ONCE)
        assert await registry.get_service("h", "llm") is None

    asyncio.run(main())


def held_a_permit(registry: ServiceRegistry) -> None:
    async def main() -> None:
        quick = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0)
        name = registry.register("h", "llm", object(), circuit_breaker_config=quick)
        await registry.breaker("llm", name).arecord_failure()
        await asyncio.sleep(0.01)
        assert await registry.get_service("h", "llm")

    asyncio.run(main())


def used_two_event_loops(registry: ServiceRegistry) -> None:
    async def main() -> None:
        registry.register("h", "llm", object(), name="a")
        assert await registry.get_service("h", "llm")

    asyncio.run(main())
    asyncio.run(main())


def was_following_events(registry: ServiceRegistry) -> None:
    async def main() -> None:
        subscription = registry.events()
        registry.register("h", "llm", object(), name="a")
        await registry.flush()
        await anext(subscription)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(anext(subscription), 0.1)

    asyncio.run(main())


def left_through_an_exception(registry: ServiceRegistry) -> None:
    async def main() -> None:
        registry.register("h", "llm", object(), name="a")
        await registry.get_service("h", "llm")
        raise SystemExit(0)

    asyncio.run(main())


WAYS: Final[dict[str, Callable[[ServiceRegistry], None]]] = {
    one.__name__: one
    for one in (
        nothing_was_awaited,
        registered_in_its_last_line,
        resolved,
        opened_a_breaker,
        opened_a_breaker_and_did_not_wait,
        a_health_check_opened_a_breaker,
        held_a_permit,
        used_two_event_loops,
        was_following_events,
        left_through_an_exception,
    )
}


if __name__ == "__main__":
    forgotten = ServiceRegistry(url=sys.argv[1])
    WAYS[sys.argv[2]](forgotten)
