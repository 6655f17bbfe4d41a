"""The watcher follows each stream that can be read, whatever the state of the others."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from ciris_registry.cache.watcher import Watcher
from ciris_registry.errors import CorruptStateError, StoreError, StoreUnavailableError
from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.records.events import EventReader
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

QUICK = RegistrySettings(store_timeout=5.0, write_timeout=1.0, max_staleness=1.0)
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


async def follows(one: ServiceRegistry, other: ServiceRegistry, kind: str, seconds: float) -> None:
    """An override of one registry reaches the other within so many seconds."""
    handle = other.breaker(kind, "shared")
    await one.breaker(kind, "shared").aforce_open("a test", 60)
    await async_wait_until(lambda: handle.state is CircuitState.OPEN, timeout=seconds)
    await one.breaker(kind, "shared").aclear_override()
    await async_wait_until(lambda: handle.state is CircuitState.CLOSED, timeout=seconds)


async def command(registry: ServiceRegistry, *words: Any) -> None:
    store = await registry._session.store()
    await store._transport.ask(*words)


async def key(registry: ServiceRegistry, kind: str, name: str) -> str:
    return str(getattr((await registry._session.store()).keys(kind), name))


async def test_a_new_service_type_is_followed_during_a_read(
    pair: tuple[ServiceRegistry, ServiceRegistry],
) -> None:
    one, other = pair
    for kind in ("audit", "tool"):
        for registry in pair:
            registry.register("h", kind, Client(), name="shared")
            assert await registry.get_service("h", kind) is not None
        await follows(one, other, kind, 5.0)


async def test_a_deleted_stream_is_followed_when_it_is_there_again(
    pair: tuple[ServiceRegistry, ServiceRegistry],
) -> None:
    one, other = pair
    await command(one, "DEL", await key(one, "llm", "events"))
    await follows(one, other, "llm", AT_ONCE)


async def test_a_stream_deleted_by_a_server_whose_clock_was_ahead_is_followed_again(
    pair: tuple[ServiceRegistry, ServiceRegistry],
) -> None:
    """All events after the deletion had ids below the last one that had been read."""
    one, other = pair
    stream = await key(one, "llm", "events")
    store = await one._session.store()
    newest = await store.events.last("llm")
    ahead = int(newest.partition("-")[0]) + 10**9
    await command(one, "XADD", stream, f"{ahead}-0", "kind", "expiry_suspended")
    await async_wait_until(lambda: other._parts.replicas.of("llm").place == f"{ahead}-0")
    await command(one, "DEL", stream)

    await follows(one, other, "llm", 10.0)  # a comparison of versions finds it
    await asyncio.sleep(0.5)
    await follows(one, other, "llm", AT_ONCE)


@pytest.mark.long_run
@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_a_long_staleness_is_not_taken_for_an_outage(new_registry: New) -> None:
    """A read of the streams waited longer than any command may take, and counted as an outage."""
    settings = RegistrySettings(store_timeout=5.0, max_staleness=30.0)
    registry = new_registry(consistency="cached", settings=settings)
    registry.register("h", "llm", Client())
    assert await registry.get_service("h", "llm") is not None
    states: list[str] = []
    registry._parts.connectivity.on_change(
        lambda: states.append(registry._parts.connectivity.state)
    )
    replica = registry._parts.replicas.of("llm")
    replica.distrust()  # without a read of the stream, a resolve would have to ask Redis

    await asyncio.sleep(REPLY_TIMEOUT + 0.5)

    assert states == []
    assert replica.fresh_until > time.monotonic() + 20, "a read confirms the replica for long"


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_a_reply_that_waited_in_a_blocked_loop_is_not_fresh(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a blocked event loop, an old reply without events counted as fresh for a moment."""
    registry = new_registry(consistency="cached", settings=QUICK)
    registry.register("h", "llm", Client())
    assert await registry.get_service("h", "llm") is not None
    read, held_up = EventReader.after, 0

    async def late(reader: EventReader, *args: Any) -> Any:
        nonlocal held_up
        events = await read(reader, *args)
        if events == [] and not held_up:
            held_up = 1
            time.sleep(0.6)  # noqa: ASYNC251 # blocks the loop
            heard.append(registry.health().heard["llm"])
            asyncio.get_running_loop().call_soon(looked)
        return events

    def looked() -> None:
        heard.append(registry.health().heard["llm"])

    heard: list[float | None] = []
    monkeypatch.setattr(EventReader, "after", late)
    await async_wait_until(lambda: len(heard) == 2)

    assert heard[1] is not None
    assert heard[1] > 0.5


@pytest.mark.long_run
@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_a_replica_stays_fresh_under_events_now_and_then(
    new_registry: New,
) -> None:
    """A reply with events confirms up to the beginning of its read, which may have waited long."""
    settings = RegistrySettings(store_timeout=5.0, max_staleness=1.0)
    one = new_registry(consistency="cached", settings=settings)
    other = new_registry(consistency="cached", settings=settings)
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="shared")
        assert await registry.get_service("h", "llm") is not None
    replica = other._parts.replicas.of("llm")
    stale, end = [], time.monotonic() + 3.5
    await asyncio.sleep(0.5)
    reported_at = time.monotonic()
    while time.monotonic() < end:
        await asyncio.sleep(0.02)
        if time.monotonic() > reported_at + 0.6:
            reported_at = time.monotonic()
            one.breaker("llm", "shared").force_open("a test", 0.001)
        left = replica.fresh_until - time.monotonic()
        if left <= 0:
            stale.append(left)
    assert len(stale) <= 3, stale


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_an_unused_replica_is_read_at_long_waits_until_it_is_used(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand idle processes shall not keep a server busy."""
    blocks: list[int] = []
    read = EventReader.after

    async def noted(reader: EventReader, places: Any, block: int) -> Any:
        blocks.append(block)
        return await read(reader, places, block)

    settings = RegistrySettings(store_timeout=5.0, max_staleness=0.1)
    one, other = (new_registry(consistency="cached", settings=settings) for _ in range(2))
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="shared")
        assert await registry.get_service("h", "llm") is not None
    monkeypatch.setattr(EventReader, "after", noted)

    await async_wait_until(lambda: max(blocks, default=0) > 3000)
    await follows(one, other, "llm", AT_ONCE)

    blocks.clear()
    assert await other.get_service("h", "llm") is not None
    await one.breaker("llm", "shared").aforce_open("ends the long wait", 0.001)
    await async_wait_until(lambda: min(blocks, default=9999) <= 70)


@pytest.mark.parametrize("url", ["real"], indirect=True)  # fakeredis fails at such a stream
@pytest.mark.parametrize("damaged", ["events", "meta"])
async def test_one_damaged_service_type_does_not_hold_up_the_others(
    pair: tuple[ServiceRegistry, ServiceRegistry],
    damaged: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All streams were read between two waits or not at all, and each wait was logged."""
    one, other = pair
    broken = await key(one, "llm", damaged)
    await command(one, "DEL", broken)
    await command(one, "SET", broken, "another program's text", "PX", 60_000)
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
    warnings = [one for one in caplog.records if "cannot be watched" in one.getMessage()]
    assert len(warnings) <= 2, "once for each registry"
    assert reads < 200
    assert other.health().failures == {}
    assert await other.get_service("h", "memory") is not None

    await command(one, "DEL", broken)
    await one.flush()
    await async_wait_until(lambda: not other._parts.replicas.of("llm").snapshot.damaged)
    await asyncio.sleep(1.0)
    await follows(one, other, "llm", 5.0)


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_damage_for_a_moment_does_not_end_the_watcher(
    pair: tuple[ServiceRegistry, ServiceRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher was restarted after growing waits, in which no suspended state was ended."""
    _, other = pair
    read, errors = EventReader.after, 3

    async def damaged(reader: EventReader, *args: Any) -> Any:
        nonlocal errors
        if errors:
            errors -= 1
            raise CorruptStateError("here", "WRONGTYPE")
        return await read(reader, *args)

    monkeypatch.setattr(EventReader, "after", damaged)
    other._parts.replicas.on_new()
    await async_wait_until(lambda: not errors)
    await follows(*pair, "memory", AT_ONCE)
    assert [one.health().failures for one in pair] == [{}, {}]


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_the_watcher_reads_again_after_any_error_of_redis(
    pair: tuple[ServiceRegistry, ServiceRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    read, errors = EventReader.after, 1

    async def refused(reader: EventReader, *args: Any) -> Any:
        nonlocal errors
        if errors:
            errors -= 1
            raise StoreError("here", "ERR it does not like you")
        return await read(reader, *args)

    monkeypatch.setattr(EventReader, "after", refused)
    other._parts.replicas.on_new()
    await async_wait_until(lambda: not errors)
    await async_wait_until(lambda: one.health().ok and other.health().ok)
    await follows(*pair, "memory", AT_ONCE)
    assert [one.health().failures for one in pair] == [{}, {}]


@pytest.mark.long_run
@pytest.mark.filterwarnings("ignore")
async def test_a_watcher_that_often_failed_is_restarted_within_seconds(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited up to half a minute, in which an open provider was called."""
    registry = new_registry(consistency="cached", settings=QUICK)
    began: list[float] = []

    async def broken(watcher: Watcher, store: object) -> None:
        began.append(time.monotonic())
        raise ValueError(watcher, store)

    monkeypatch.setattr(Watcher, "_run", broken)
    monkeypatch.setattr("random.uniform", lambda _least, most: most)
    await registry.start()
    await async_wait_until(lambda: len(began) == 7, timeout=15.0)
    assert began[-1] - began[-2] < 2.0


@pytest.mark.long_run
@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_events_that_cannot_be_read_are_read_at_growing_intervals(
    pair: tuple[ServiceRegistry, ServiceRegistry],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Redis answered other commands, so the reads followed at once, hundreds a second, unlogged."""
    one, other = pair
    read, attempts = EventReader.after, 0

    async def refused(*_: Any) -> Any:
        nonlocal attempts
        attempts += 1
        raise StoreUnavailableError("here", "closed")

    monkeypatch.setattr(EventReader, "after", refused)
    for registry in pair:
        registry._parts.replicas.on_new()
    await asyncio.sleep(2.5)
    assert attempts <= 2 * 10
    said = [line for line in caplog.messages if "events cannot be read" in line]
    assert len(said) == 2, "one line for each registry"
    await other.breaker("llm", "shared").aforce_open("a test", 60)
    await asyncio.sleep(1.0)
    await async_wait_until(lambda: one.health().redis == "connected")
    assert await one.get_service("h", "llm") is None, "the resolve asked Redis"

    monkeypatch.setattr(EventReader, "after", read)
    await asyncio.sleep(3.0)
    await follows(*pair, "memory", AT_ONCE)
    assert len([line for line in caplog.messages if "can be read again" in line]) == 2
