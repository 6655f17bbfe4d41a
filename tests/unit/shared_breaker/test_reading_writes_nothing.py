"""Reading a breaker stores nothing: neither a breaker nor a new shape of the replica."""

from __future__ import annotations

import pytest

from ciris_registry import CircuitBreakerError, CircuitState, RegistrySettings, ServiceRegistry


class Client:
    """A provider."""


async def test_reading_the_breaker_of_an_unknown_name_does_not_cost_every_caller_its_picker(
    registry: ServiceRegistry,
) -> None:
    registry.register_global("llm", Client(), name="known")
    await registry.flush()
    assert await registry.get_service("h", "llm") is not None
    replica = registry._parts.replicas.of("llm")
    shape, snapshot = replica.shape, replica.snapshot

    handle = registry.breaker("llm", "unknown")

    assert handle.state is CircuitState.CLOSED
    assert handle.config == registry.breaker("llm", "known").config
    assert handle.get_stats()["generation"] == 0
    assert handle.is_available()
    handle.check_and_raise()
    assert (replica.shape, replica.asked) == (shape, {})
    assert set(replica.snapshot.breakers) == set(snapshot.breakers)


async def test_a_new_picker_is_valid_while_redis_is_away() -> None:
    settings = RegistrySettings(store_timeout=0.05, write_timeout=0.05)
    async with ServiceRegistry(url="redis://127.0.0.1:1/0", settings=settings) as registry:
        registry.register_global("llm", Client(), name="one")
        replica = registry._parts.replicas.of("llm")
        shape = replica.shape

        assert await registry.get_service("h", "llm") is not None

        assert replica.shape == shape


async def test_a_fleet_that_has_opened_an_unknown_breaker_is_obeyed_from_the_first_reply(
    registry: ServiceRegistry,
) -> None:
    await registry.breaker("llm", "unregistered").aforce_open("a test", 60.0)

    handle = registry.breaker("llm", "unregistered")

    assert handle.state is CircuitState.OPEN
    with pytest.raises(CircuitBreakerError):
        await handle.acheck_and_raise()
