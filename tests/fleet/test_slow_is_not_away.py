"""Redis is far away: this process is connected, says so once, and goes on making probes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    CircuitState,
    NoProviderError,
    RegistrySettings,
    ServiceRegistry,
)
from tests.redis_proxy import RedisProxy
from tests.waiting import async_wait_until

CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout=0.3, success_threshold=2)


class Client:
    """A provider that is down until it is well again."""

    well = False
    calls = 0

    async def ask(self) -> str:
        self.calls += 1
        if not self.well:
            raise ConnectionError("down")
        return "an answer"


@pytest.mark.parametrize("mode", ["cached", "exact"])
@pytest.mark.parametrize(
    "seconds",
    [
        0.08,
        *(pytest.param(one, marks=pytest.mark.outage_run) for one in (0.02, 0.06, 0.2, 0.8)),
    ],
)
async def test_a_provider_that_is_well_again_is_called_again(
    private_server: str, mode: Any, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """At 50 ms and more, each call suspended Redis, and an open breaker never closed again."""
    states: list[str] = []
    client = Client()

    async with RedisProxy(private_server.removeprefix("unix://")) as proxy:
        proxy.delay = seconds / 2
        async with ServiceRegistry(
            url=proxy.url,
            consistency=mode,
            settings=RegistrySettings(max_staleness=0.5),
            namespace=f"far-{mode}-{seconds}",
        ) as registry:
            connectivity = registry._parts.connectivity
            connectivity.on_change(lambda: states.append(connectivity.state))
            registry.register_global("llm", client, name="one", circuit_breaker_config=CONFIG)
            await registry.flush()
            handle = registry.breaker("llm", "one")
            while handle.state is CircuitState.CLOSED:
                with pytest.raises((ConnectionError, NoProviderError)):
                    await registry.call("h", "llm", Client.ask)
            client.well = True

            async def answered() -> bool:
                try:
                    return await registry.call("h", "llm", Client.ask) == "an answer"
                except NoProviderError:
                    return False

            await async_wait_until(answered)
            await async_wait_until(answered)
            await async_wait_until(lambda: handle.state is CircuitState.CLOSED)
            for _ in range(4):
                assert await registry.call("h", "llm", Client.ask) == "an answer"
            await asyncio.sleep(0.7)  # longer than max_staleness: a resolve may have to ask
            assert await registry.call("h", "llm", Client.ask) == "an answer"
            health = registry.health()
            # A machine that stands still may make one answer late.
            assert states.count("suspended") <= 1, states

    assert (health.redis, health.outages) == ("connected", 0)
    assert health.round_trip >= seconds
    lines = [line for line in caplog.messages if "a round trip to Redis takes" in line]
    assert len(lines) == (seconds > registry.settings.store_timeout), caplog.messages
    assert "closed without leaving" not in caplog.text
