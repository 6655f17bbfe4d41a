"""What a resolve costs Redis, counted by the server itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis

from ciris_registry import (
    CircuitBreakerConfig,
    RegistrySettings,
    SelectionStrategy,
    ServiceRegistry,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALM = RegistrySettings(lease=3600.0)
"""No heartbeat comes between."""

LOAD = "zrevrange"
"""No script uses it, and a load once for each breaker."""


class Client:
    """A provider."""


class Commands:
    """The commands that clients have sent to a server."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url)
        self._before = self._now()

    def _now(self) -> dict[str, int]:
        stats = self._client.info("commandstats")
        return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}

    def since(self) -> dict[str, int]:
        """Script calls, and other commands of clients, since the last question."""
        now = self._now()
        sent = {
            name: now[name] - self._before.get(name, 0)
            for name in ("evalsha", "eval", "xread", "script|load", "smembers", LOAD)
            if now.get(name, 0) - self._before.get(name, 0)
        }
        self._before = now
        return sent

    def close(self) -> None:
        self._client.close()


@pytest.fixture
async def counted(quiet_server: str) -> AsyncIterator[tuple[ServiceRegistry, Commands]]:
    """A registry on a server without other clients, and the commands that the server counts."""
    with redis.Redis.from_url(quiet_server) as client:
        client.flushall()
    commands = Commands(quiet_server)
    async with ServiceRegistry(url=quiet_server, settings=CALM, consistency="exact") as registry:
        yield registry, commands
    commands.close()


@pytest.mark.parametrize("strategy", list(SelectionStrategy))
async def test_a_resolve_is_exactly_one_script_call_while_nothing_changes(
    counted: tuple[ServiceRegistry, Commands], strategy: SelectionStrategy
) -> None:
    registry, commands = counted
    for _ in range(5):
        registry.register("h", "llm", Client(), strategy=strategy)
    for _ in range(3):
        await registry.get_service("h", "llm")
    commands.since()
    for _ in range(100):
        assert await registry.get_service("h", "llm") is not None
    assert commands.since() == {"evalsha": 100}


@pytest.mark.parametrize("strategy", list(SelectionStrategy))
async def test_sixty_four_at_once_share_two_or_three_calls(
    counted: tuple[ServiceRegistry, Commands], strategy: SelectionStrategy
) -> None:
    registry, commands = counted
    for _ in range(5):
        registry.register("h", "llm", Client(), strategy=strategy)
    for _ in range(3):
        await registry.get_service("h", "llm")
    for _ in range(10):
        commands.since()
        got = await asyncio.gather(*(registry.get_service("h", "llm") for _ in range(64)))
        assert None not in got
        [(command, calls)] = commands.since().items()
        assert command == "evalsha"
        assert 1 <= calls <= 3


async def test_a_permit_is_a_second_call_and_a_change_costs_one_more(
    counted: tuple[ServiceRegistry, Commands],
) -> None:
    registry, commands = counted
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0)
    name = registry.register("h", "llm", Client(), circuit_breaker_config=config)
    await registry.breaker("llm", name).arecord_failure()
    await asyncio.sleep(0.005)
    await registry.breaker("llm", "another").acheck_and_raise()  # now the server knows the script
    await registry.refresh()
    commands.since()
    assert await registry.get_service("h", "llm") is not None
    assert commands.since() == {"evalsha": 2}
    assert await registry.get_service("h", "llm") is None
    assert commands.since() == {"evalsha": 2, LOAD: 1}
    assert await registry.get_service("h", "llm") is None
    assert commands.since() == {"evalsha": 2}


async def test_waiting_for_a_service_that_is_registered_costs_nothing(
    counted: tuple[ServiceRegistry, Commands],
) -> None:
    registry, commands = counted
    registry.register("h", "llm", Client())
    await registry.flush()
    commands.since()
    for _ in range(50):
        assert await registry.wait_ready(service_types=["llm"])
    assert commands.since() == {}
