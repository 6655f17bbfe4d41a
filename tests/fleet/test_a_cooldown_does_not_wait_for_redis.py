"""``acool_down`` while Redis is away: it begins in this process at once, and is merged later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.fleet.shared_state import SharedState
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from tests.fleet.server import Server

SETTINGS = RegistrySettings(store_timeout=0.3, write_timeout=60.0)


async def test_it_begins_here_at_once_and_everywhere_when_redis_is_back(server: Server) -> None:
    """It waited for the whole write_timeout, raised, and calls of the provider went on."""
    client = object()
    async with ServiceRegistry(url=server.url, settings=SETTINGS) as registry:
        registry.register_global("llm", client, name="shared")
        assert await registry.get_service("h", "llm") is client
        server.freeze()

        began = time.monotonic()
        await registry.breaker("llm", "shared").acool_down(60, "HTTP 429")
        assert await registry.get_service("h", "llm") is None
        await registry.breaker("llm", "shared").acool_down(90, "HTTP 429")
        assert time.monotonic() - began < 30, "a few times the store_timeout, not the write_timeout"

        server.thaw()
        await async_wait_until(lambda: registry.health().ok)
        await registry.flush()
        assert await registry.get_service("h", "llm", consistency="exact") is None
        with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as looking:
            shared = SharedState(looking)
            left = int(shared.breaker()["cooldown_until"]) - shared.now()
            assert 60_000 < left <= 90_000


async def test_with_redis_the_cooldown_is_in_redis_when_it_returns(
    server: Server,
) -> None:
    settings = RegistrySettings(store_timeout=5.0)
    async with ServiceRegistry(url=server.url, settings=settings) as registry:
        await registry.breaker("llm", "shared").acool_down(60, "HTTP 429")
        with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as looking:
            shared = SharedState(looking)
            assert int(shared.breaker()["cooldown_until"]) > shared.now()
            [event] = shared.events("breaker_cooldown_started")
            assert event["reason"] == "HTTP 429"
