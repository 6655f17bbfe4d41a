"""Overriding and resetting a breaker, and the line that the command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from ciris_registry.cli.operator_session import operator_name
from tests.unit.cli_run import ciris

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ciris_registry import BreakerHandle


@pytest.fixture
async def registry(real_url: str) -> AsyncIterator[ServiceRegistry]:
    async with ServiceRegistry(
        url=real_url, settings=RegistrySettings(write_timeout=1.0)
    ) as registry:
        registry.register_global("llm", object(), name="one")
        registry.register_global("llm", object(), name="two")
        await registry.flush()
        yield registry


@pytest.fixture
def handle(registry: ServiceRegistry) -> BreakerHandle:
    return registry.breaker("llm", "one")


async def change(url: str, *words: str) -> str:
    result = await ciris("breaker", *words, url=url)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    return result.stdout.rstrip()


async def test_force_open_prints_the_state_before_and_after_and_the_operator(
    handle: BreakerHandle, real_url: str
) -> None:
    printed = await change(
        real_url, "force-open", "llm", "one", "--reason", "deploying", "--for", "10m"
    )
    assert printed == f"llm one: closed -> forced open, 10 m left, by {operator_name()}: deploying"
    override = (await handle.aget_stats())["override"]
    assert override["state"] == "open"
    assert override["reason"] == "deploying"
    assert override["actor"] == operator_name()
    assert handle.state is CircuitState.OPEN
    assert not await handle.ais_available()


async def test_force_close_lets_calls_through_an_open_breaker(
    handle: BreakerHandle, real_url: str
) -> None:
    for _ in range(5):
        handle.record_failure()
    await handle.aget_stats()
    printed = await change(real_url, "force-close", "llm", "one", "--for", "1h")
    assert printed.startswith("llm one: open, retry in ")
    assert "-> forced closed, 1 h left (itself open, retry in " in printed
    assert printed.endswith(f", by {operator_name()}")
    assert await handle.ais_available()


async def test_an_override_without_an_end_stands_until_it_is_cleared(
    handle: BreakerHandle, real_url: str
) -> None:
    assert "forced open, until it is cleared" in await change(real_url, "force-open", "llm", "one")
    printed = await change(real_url, "clear-override", "llm", "one")
    assert printed == "llm one: forced open, until it is cleared -> closed"
    assert await handle.ais_available()
    printed = await change(real_url, "clear-override", "llm", "one")
    assert printed == "llm one: closed; there is no override to clear"


async def test_reset_closes_and_forgets(handle: BreakerHandle, real_url: str) -> None:
    for _ in range(5):
        handle.record_failure()
    await handle.aforce_open("broken", 60)
    printed = await change(real_url, "reset", "llm", "one", "--reason", "repaired")
    assert printed.startswith("llm one: forced open, 1 m left (itself open, retry in ")
    assert printed.endswith(" -> closed")
    stats = await handle.aget_stats()
    assert (stats["state"], stats["failure_count"], stats["override"]) == ("closed", 0, None)


@pytest.mark.parametrize("command", ["force-open", "force-close", "clear-override", "reset"])
async def test_an_unknown_breaker_is_an_error_that_names_the_known_ones(
    command: str, registry: ServiceRegistry, real_url: str
) -> None:
    result = await ciris("breaker", command, "llm", "three", url=real_url)
    assert result.exit_code == 2
    assert result.stderr == ("ciris-registry: no breaker of llm three; known breakers: one, two\n")
    result = await ciris("breaker", command, "tool", "one", url=real_url)
    assert result.stderr.endswith("known breakers: none\n")
    await registry.refresh()
    assert set(registry.get_provider_info()["circuit_breaker_stats"]) == {"one", "two"}


async def test_the_breaker_of_an_unregistered_provider_can_still_be_forced(
    registry: ServiceRegistry, real_url: str
) -> None:
    await registry.aunregister("one")
    printed = await change(real_url, "force-open", "llm", "one", "--for", "1m")
    assert "closed -> forced open" in printed


async def test_a_damaged_breaker_is_an_error_that_says_how_to_repair_it(
    registry: ServiceRegistry, real_url: str
) -> None:
    async with redis.asyncio.Redis.from_url(real_url) as client:
        key = "ciris:v2:{default/0}:llm:breaker:one"
        await client.hset(key, "failure_threshold", "many")
        result = await ciris("breaker", "force-open", "llm", "one", url=real_url)
        assert result.exit_code == 2
        assert "the breaker of llm one is damaged (invalid literal" in result.stderr
        await client.delete(key)
        await client.set(key, "no hash", ex=60)
        result = await ciris("breaker", "reset", "llm", "one", url=real_url)
        assert result.exit_code == 2
        assert "the breaker of llm one is damaged (WRONGTYPE" in result.stderr
        await client.delete(key)


@pytest.mark.parametrize("length", ["10", "0s", "soon", "-1m"])
async def test_a_duration_needs_a_unit(
    length: str, registry: ServiceRegistry, real_url: str
) -> None:
    result = await ciris("breaker", "force-open", "llm", "one", f"--for={length}", url=real_url)
    assert result.exit_code == 2
    assert "use 90s, 10m" in result.stderr
    assert registry.breaker("llm", "one").state is CircuitState.CLOSED


async def test_clear_override_and_reset_take_no_duration(real_url: str) -> None:
    for command in ("clear-override", "reset"):
        result = await ciris("breaker", command, "llm", "one", "--for", "1m", url=real_url)
        assert result.exit_code == 2
