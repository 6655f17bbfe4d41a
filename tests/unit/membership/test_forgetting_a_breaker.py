"""With `forget_breaker=True`, a breaker goes with its provider, in the whole fleet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from tests.redis_proxy import RedisProxy
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

SETTINGS: Final = RegistrySettings(
    lease=3.0,
    heartbeat_interval=0.1,
    max_staleness=0.3,
    store_timeout=5.0,
    write_timeout=5.0,
    breaker=CircuitBreakerConfig(failure_threshold=1, recovery_timeout=600),
)
MODES: Final = pytest.mark.parametrize("mode", ["cached", "exact"])


class Client:
    """A provider."""


async def opened(registry: ServiceRegistry, name: str = "one") -> None:
    registry.register_global("llm", Client(), name=name)
    await registry.breaker("llm", name).arecord_failure()
    assert registry.breaker("llm", name).state == "open"


async def usable(registry: ServiceRegistry) -> bool:
    return await registry.get_service("h", "llm") is not None


@MODES
async def test_a_provider_that_comes_back_begins_with_a_closed_breaker(
    new_registry: New, mode: str
) -> None:
    registry = new_registry(settings=SETTINGS, consistency=mode)
    await opened(registry)
    assert await registry.aunregister("one", forget_breaker=True)

    registry.register_global("llm", Client(), name="one")

    assert registry.breaker("llm", "one").state == "closed"
    assert await usable(registry)


@MODES
async def test_without_it_the_breaker_stays(new_registry: New, mode: str) -> None:
    registry = new_registry(settings=SETTINGS, consistency=mode)
    await opened(registry)
    assert await registry.aunregister("one")

    registry.register_global("llm", Client(), name="one")

    assert not await usable(registry)


@MODES
async def test_a_process_that_knew_it_to_be_open_does_not_put_it_back(
    new_registry: New, mode: Any
) -> None:
    first, second = (new_registry(settings=SETTINGS, consistency=mode) for _ in range(2))
    await opened(first)
    second.bind("one", Client())
    second.register_global("llm", Client(), name="other")
    assert "one" in str(await second.explain("h", "llm"))
    assert second.breaker("llm", "one").state == "open"

    await first.aunregister("one", forget_breaker=True)
    await second.refresh("llm")
    second.register_global("llm", Client(), name="one", priority="CRITICAL")
    await second.flush()

    assert second.breaker("llm", "one").state == "closed"
    chosen = [one.name for one in await second.explain("h", "llm") if one.verdict == "chosen"]
    assert chosen == ["one"]
    first.register_global("llm", Client(), name="one")
    assert await usable(first)


async def test_followers_drop_it_by_the_event(new_registry: New) -> None:
    first, second = (new_registry(settings=SETTINGS, consistency="cached") for _ in range(2))
    second.register_global("llm", Client(), name="other")
    await second.flush()
    await opened(first)
    await async_wait_until(lambda: second.breaker("llm", "one").state == "open")

    await first.aunregister("one", forget_breaker=True)

    await async_wait_until(lambda: second.breaker("llm", "one").state == "closed")


@MODES
async def test_a_process_that_was_cut_off_does_not_put_it_back(
    new_registry: New, private_server: str, mode: str
) -> None:
    first = new_registry(url=private_server, settings=SETTINGS, namespace=mode, consistency=mode)
    async with RedisProxy(private_server.removeprefix("unix://")) as proxy:
        second = new_registry(url=proxy.url, settings=SETTINGS, namespace=mode, consistency=mode)
        await opened(first)
        second.bind("one", Client())
        second.register_global("llm", Client(), name="other")
        await second.flush()
        await second.refresh("llm")
        assert second.breaker("llm", "one").state == "open"
        proxy.refuse_all("LOADING Redis is loading the dataset in memory")
        await async_wait_until(lambda: not second.health().ok)
        second.breaker("llm", "one").record_success()

        await first.aunregister("one", forget_breaker=True)
        first.register_global("llm", Client(), name="one")
        await first.flush()
        proxy.accept_all()

        await async_wait_until(lambda: second.health().ok)
        await second.refresh("llm")
        assert second.breaker("llm", "one").state == "closed"
        await first.refresh("llm")
        assert first.breaker("llm", "one").state == "closed"
        assert await usable(first)
        await second.aclose()
    await first.aclear_all()


@MODES
async def test_it_stays_while_another_process_has_registered_the_provider(
    new_registry: New, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (new_registry(settings=SETTINGS, consistency=mode) for _ in range(2))
    second.register("chat", "llm", Client(), name="one")
    await second.flush()
    await opened(first)

    with caplog.at_level(logging.WARNING):
        await first.aunregister("one", forget_breaker=True)

    assert "the breaker of llm one stays" in caplog.text
    assert await second.get_service("chat", "llm", fallback_to_global=False) is None
    await second.aunregister("one", forget_breaker=True)
    second.register("chat", "llm", Client(), name="one")
    assert await second.get_service("chat", "llm", fallback_to_global=False) is not None


async def test_a_synchronous_unregister_acts_on_the_next_line(new_registry: New) -> None:
    registry = new_registry(settings=SETTINGS, consistency="cached")
    await opened(registry)

    assert registry.unregister("one", forget_breaker=True)
    registry.register_global("llm", Client(), name="one")

    assert registry.breaker("llm", "one").state == "closed"
    assert await usable(registry)
    await registry.flush()
    await registry.refresh("llm")
    assert await usable(registry)


def test_what_this_process_has_not_registered_is_not_forgotten() -> None:
    assert not ServiceRegistry().unregister("nothing", forget_breaker=True)
