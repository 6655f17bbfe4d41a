"""The tail follows what can be followed, whatever became of the rest."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

import pytest

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from ciris_registry.event_reader import EventReader
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

QUICK = RegistrySettings(store_timeout=5.0, patience=1.0, max_staleness=1.0)
AT_ONCE = 0.5
"""Seconds: less than one read of the streams waits."""


class Client:
    """A provider."""


@pytest.fixture
async def pair(new_registry: New) -> tuple[ServiceRegistry, ServiceRegistry]:
    """Two registries that use ``llm`` and ``memory``."""
    one, other = (new_registry(consistency="cached", settings=QUICK) for _ in range(2))
    for registry in (one, other):
        for kind in ("llm", "memory"):
            registry.register("h", kind, Client(), name="shared")
            assert await registry.get_service("h", kind) is not None
    await asyncio.sleep(0.1)
    return one, other


async def follows(one: ServiceRegistry, other: ServiceRegistry, kind: str, patience: float) -> None:
    """What one decides is seen by the other within ``patience`` seconds."""
    handle = other.breaker(kind, "shared")
    await one.breaker(kind, "shared").aforce_open("a test", 60)
    await async_wait_until(lambda: handle.state is CircuitState.OPEN, timeout=patience)
    await one.breaker(kind, "shared").aclear_override()
    await async_wait_until(lambda: handle.state is CircuitState.CLOSED, timeout=patience)


async def command(registry: ServiceRegistry, *words: Any) -> None:
    store = await registry._session.store()
    await store._transport.command(lambda redis: cast("Any", redis).execute_command(*words))


async def key(registry: ServiceRegistry, kind: str, name: str) -> str:
    return str(getattr((await registry._session.store()).keys(kind), name))


async def test_a_service_type_that_is_new_is_followed_while_it_reads(
    pair: tuple[ServiceRegistry, ServiceRegistry],
) -> None:
    one, other = pair
    for kind in ("audit", "tool"):
        for registry in pair:
            registry.register("h", kind, Client(), name="shared")
            assert await registry.get_service("h", kind) is not None
        await follows(one, other, kind, 5.0)


async def test_a_stream_that_was_deleted_is_followed_on(
    pair: tuple[ServiceRegistry, ServiceRegistry],
) -> None:
    one, other = pair
    await command(one, "DEL", await key(one, "llm", "events"))
    await follows(one, other, "llm", AT_ONCE)


async def test_a_stream_whose_clock_was_ahead_is_followed_at_once_again(
    pair: tuple[ServiceRegistry, ServiceRegistry],
) -> None:
    """Whatever came after it was deleted was behind the place that had been read."""
    one, other = pair
    stream = await key(one, "llm", "events")
    store = await one._session.store()
    newest = await store.last_event("llm")
    ahead = int(newest.partition("-")[0]) + 10**9
    await command(one, "XADD", stream, f"{ahead}-0", "kind", "member_kept")
    await async_wait_until(lambda: other._views.mirror("llm").place == f"{ahead}-0")
    await command(one, "DEL", stream)

    await follows(one, other, "llm", 10.0)  # found out by comparing versions
    await asyncio.sleep(0.5)
    await follows(one, other, "llm", AT_ONCE)


@pytest.mark.parametrize("url", ["real"], indirect=True)  # the imitation fails at such a stream
@pytest.mark.parametrize("damaged", ["events", "meta"])
async def test_one_damaged_service_type_does_not_hold_up_the_others(
    pair: tuple[ServiceRegistry, ServiceRegistry],
    damaged: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All streams were read only between two naps, or not at all, and each nap was logged."""
    one, other = pair
    broken = await key(one, "llm", damaged)
    await command(one, "DEL", broken)
    await command(one, "SET", broken, "somebody's text", "PX", 60_000)
    await asyncio.sleep(1.0)
    reads = 0
    read = EventReader.after

    async def noted(reader: EventReader, *args: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(reader, *args)

    monkeypatch.setattr(EventReader, "after", noted)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await follows(one, other, "memory", AT_ONCE)
            await asyncio.sleep(0.1)
    warnings = [one for one in caplog.records if "cannot be followed" in one.getMessage()]
    assert len(warnings) <= 2, "once for each of the two"
    assert reads < 200
    assert other.health().failures == {}
    assert await other.get_service("h", "memory") is not None

    await command(one, "DEL", broken)
    await one.flush()
    await async_wait_until(lambda: not other._views.mirror("llm").snapshot.damaged)
    await asyncio.sleep(1.0)
    await follows(one, other, "llm", 5.0)
