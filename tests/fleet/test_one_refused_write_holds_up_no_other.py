"""A write that Redis refuses for ever is set aside and named; the writes behind it arrive."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import redis

from ciris_registry import RegistrySettings, ServiceRegistry
from ciris_registry.errors import StoreUnavailableError
from tests.redis_proxy import RedisProxy
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from tests.redis_proxy import Words

SETTINGS = RegistrySettings(store_timeout=1.0, write_timeout=0.1)


class Client:
    """A provider."""


@pytest.mark.parametrize("refuses", ["a key of another type", "an argument"])
async def test_a_refused_write_is_named_and_those_behind_it_arrive(
    real_url: str, refuses: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A key of another type dropped the write at once, and nothing but the log knew of it."""
    key = "ciris:v2:{default/0}:llm:slots:bad"
    async with (
        RedisProxy(real_url.removeprefix("unix://")) as proxy,
        ServiceRegistry(url=proxy.url, settings=SETTINGS) as registry,
    ):
        registry.register_global("llm", Client(), name="good")
        await registry.flush()
        queue = registry._parts.write_queue
        if refuses == "an argument":
            proxy.refuses = lambda words: (
                "ERR it is not a number" if key.encode() in words else None
            )
        else:
            with redis.Redis.from_url(real_url) as raw:
                raw.set(key, "another program's", ex=60)

        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                queue.put(
                    "a release of llm bad", lambda one: one.slots.release("llm", "bad", ["x"])
                )
            registry.breaker("llm", "good").force_open("a test", 60)
            await registry.flush()

        health = registry.health()
        assert (health.redis, health.error, health.outages) == ("connected", "", 0)
        assert list(health.rejected_writes) == ["a release of llm bad"]
        [line] = [
            one.getMessage()
            for one in caplog.records
            if one.levelno >= logging.ERROR and one.name.startswith("ciris_registry")
        ]
        assert "a release of llm bad is set aside" in line
        await registry.refresh("llm")
        assert registry.breaker("llm", "good").state == "open"


async def test_a_server_that_refuses_every_write_keeps_the_queue(
    private_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each write was dropped, with an error of its own."""
    async with (
        RedisProxy(private_server.removeprefix("unix://")) as proxy,
        ServiceRegistry(url=proxy.url, settings=SETTINGS, namespace="keeps") as registry,
    ):
        registry.register_global("llm", Client(), name="good")
        await registry.flush()

        def scripts(words: Words) -> str | None:
            return "ERR strange words" if words[0].startswith(b"EVAL") else None

        proxy.refuses = scripts
        for number in range(3):
            registry.breaker("llm", "good").force_open(f"number {number}", 60)
        with pytest.raises(StoreUnavailableError, match="strange words"):
            await registry.flush()
        await async_wait_until(lambda: registry.health().redis == "lost")
        assert "strange words" in registry.health().error
        assert registry.health().pending_writes == 3
        assert not registry.health().rejected_writes

        proxy.accept_all()
        await async_wait_until(lambda: registry.health().ok)
        await registry.flush()
        store = await registry._session.store()
        reasons = [one.reason for one in await store.events.latest("llm", 20)]
        assert [one for one in reasons if one.startswith("number")] == [
            f"number {number}" for number in range(3)
        ], "each once, in their order"
