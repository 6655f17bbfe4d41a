"""Writes of synchronous methods are pending until they are in Redis."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import redis

from ciris_registry import RegistrySettings
from ciris_registry.store import WriteQueue
from ciris_registry.store.connection import Connectivity
from ciris_registry.store.write_queue import write_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import pytest

    from ciris_registry import ServiceRegistry
    from ciris_registry.store import Session, Store


async def test_flush_waits_for_a_write_in_flight(
    new_registry: Callable[..., ServiceRegistry], url: str
) -> None:
    registry, other = new_registry(), new_registry()
    await registry.start()
    await other.start()
    registry.register_global("llm", object(), name="shared")
    await asyncio.sleep(0)  # the write begins, and nothing else waits to begin
    await registry.flush()
    seen = await other.aget_provider_info(service_type="llm")
    assert [one["name"] for one in seen["global_services"]["llm"]] == ["shared"]


async def test_closing_waits_for_a_write_in_flight(real_url: str) -> None:
    from ciris_registry import ServiceRegistry

    registry = ServiceRegistry(url=real_url)
    await registry.start()
    breaker = registry.breaker("llm", "shared")
    breaker.force_open("maintenance")
    await asyncio.sleep(0)
    await registry.aclose()
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        key = "ciris:v2:{default/0}:llm:breaker:shared"
        assert client.hget(key, "override") == "open"
        client.delete(key)  # an override without an end never expires


async def test_the_queue_is_bounded_and_dropped_writes_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ciris_registry import RegistrySettings, ServiceRegistry

    monkeypatch.setattr(write_queue, "MOST_PENDING", 100)
    settings = RegistrySettings(write_timeout=0)
    registry = ServiceRegistry(url="redis://127.0.0.1:1/0", settings=settings)
    await registry.start()
    with caplog.at_level(logging.WARNING):
        for number in range(150):
            registry.breaker("llm", f"n{number}").force_open("maintenance", 60)
            assert registry.health().pending_writes == min(number + 1, 100)
    assert registry.health().dropped_writes == 50
    logged = [one for one in caplog.messages if "writes wait for Redis" in one]
    assert logged == ["more than 100 writes wait for Redis: the oldest are dropped"]
    assert "n50" in registry._parts.write_queue._writes[0].what, "the oldest were dropped"
    await registry.aclose()


class _Known:
    """A session that has been started; its store is not used."""

    async def store(self) -> None:
        """Return at once."""

    def running(self) -> bool:
        """It has been started."""
        return True

    def spawn(self, work: Coroutine[Any, Any, None], *, watched: bool) -> asyncio.Task[None]:
        """Run it."""
        assert watched
        return asyncio.get_running_loop().create_task(work)


def queue_of_its_own() -> tuple[WriteQueue, Connectivity]:
    connectivity = Connectivity("redis://somewhere", RegistrySettings())
    return WriteQueue(cast("Session", _Known()), connectivity), connectivity


async def test_a_flush_returned_while_a_registration_was_not_sent() -> None:
    """Outcomes that were counted offline stood for a registration that was put before them."""
    queue, connectivity = queue_of_its_own()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def register(_store: Store) -> None:
        begun.set()
        await may_end.wait()

    counted: list[int] = []
    queue.put("a registration", register, must_flush=True)
    for number in range(3):
        queue.put("an outcome", never, away=partial(counted.append, number))
    flushing = asyncio.create_task(queue.flush())
    await begun.wait()
    connectivity.suspect("no answer")
    queue.rescue()
    await asyncio.sleep(0.01)
    assert counted == [0, 1, 2]
    assert len(queue) == 1
    assert queue.must_flush
    assert not flushing.done()
    may_end.set()
    await flushing
    assert not queue.must_flush
    assert not queue.pending


async def never(_store: Store) -> None:
    raise AssertionError("it was counted offline")


async def test_a_full_queue_lost_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dropped outcome was counted neither in Redis nor in this process."""
    monkeypatch.setattr(write_queue, "MOST_PENDING", 2)
    queue, _ = queue_of_its_own()
    counted: list[int] = []
    for number in range(4):
        queue.put("an outcome", never, away=partial(counted.append, number))
    assert counted == [0, 1]
    assert queue.dropped == 2
    await queue.finish(0)
