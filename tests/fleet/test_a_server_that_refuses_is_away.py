"""A server that answers but refuses to write counts as away, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.fleet.shared_state import SharedState
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from tests.fleet.server import Server

SETTINGS = RegistrySettings(store_timeout=1.0, max_staleness=0.5)


class Unhealthy:
    """A provider that always says no."""

    async def is_healthy(self) -> bool:
        return False


@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_a_server_out_of_memory_costs_no_outcome_and_raises_nothing(
    server: Server, mode: str
) -> None:
    """Calls raised, `health()` reported Redis as connected, and the failures were lost."""
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        async with ServiceRegistry(url=server.url, settings=SETTINGS, consistency=mode) as registry:  # type: ignore[arg-type]
            registry.register_global("llm", Unhealthy(), name="shared")
            await registry.flush()
            handle = registry.breaker("llm", "shared")
            client.config_set("maxmemory", 1)

            assert await registry.get_service("h", "llm") is None
            await handle.arecord_failure()
            handle.record_failure()
            await async_wait_until(lambda: registry.health().redis == "lost")
            assert "maxmemory" in registry.health().error
            assert await registry.get_service("h", "llm") is None

            client.config_set("maxmemory", 0)
            await async_wait_until(lambda: registry.health().ok)
            await registry.flush()
            assert SharedState(client).breaker()["total_failures"] == "4"
            assert registry.health().outages == 1


async def test_a_server_that_becomes_a_replica_is_away_until_it_is_none(
    server: Server,
) -> None:
    """Its error to blocked reads of events ended the task that would have reconnected."""
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        async with ServiceRegistry(url=server.url, settings=SETTINGS) as registry:
            registry.register_global("llm", Unhealthy(), name="shared")
            await registry.flush()
            await registry.get_service("h", "llm")
            await asyncio.sleep(0.2)
            for _ in range(3):
                client.replicaof("127.0.0.1", "1")
                await async_wait_until(lambda: not registry.health().ok)
                await asyncio.sleep(0.2)
                client.replicaof("NO", "ONE")
                await async_wait_until(lambda: registry.health().ok)
                await async_wait_until(lambda: waits(client))
            assert registry.health().failures == {}


def waits(client: redis.Redis) -> bool:
    return any(one["cmd"] == "xread" for one in client.client_list())
