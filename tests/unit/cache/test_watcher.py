"""The tail follows what can be followed, whatever became of the rest."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from ciris_registry.cache.watcher import Watcher
from ciris_registry.errors import CorruptStateError, StoreError, StoreUnavailableError
from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.events import EventReader
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


async def follows(
    one: ServiceRegistry, other: ServiceRegistry, kind: str, write_timeout: float
) -> None:
    """What one decides is seen by the other within ``write_timeout`` seconds."""
    handle = other.breaker(kind, "shared")
    await one.breaker(kind, "shared").aforce_open("a test", 60)
    await async_wait_until(lambda: handle.state is CircuitState.OPEN, timeout=write_timeout)
    await one.breaker(kind, "shared").aclear_override()
    await async_wait_until(lambda: handle.state is CircuitState.CLOSED, timeout=write_timeout)


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
    newest = await store.events.last("llm")
    ahead = int(newest.partition("-")[0]) + 10**9
    await command(one, "XADD", stream, f"{ahead}-0", "kind", "member_kept")
    await async_wait_until(lambda: other._parts.replicas.of("llm").place == f"{ahead}-0")
    await command(one, "DEL", stream)

    await follows(one, other, "llm", 10.0)  # found out by comparing versions
    await asyncio.sleep(0.5)
    await follows(one, other, "llm", AT_ONCE)


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_a_long_staleness_does_not_break_the_link(new_registry: New) -> None:
    """A read of the streams waited for longer than any command may take, and ended as an outage."""
    settings = RegistrySettings(store_timeout=5.0, max_staleness=30.0)
    registry = new_registry(consistency="cached", settings=settings)
    registry.register("h", "llm", Client())
    assert await registry.get_service("h", "llm") is not None
    states: list[str] = []
    registry._parts.connectivity.on_change(
        lambda: states.append(registry._parts.connectivity.state)
    )
    replica = registry._parts.replicas.of("llm")
    replica.doubt()  # so that the first one who asks would have to ask

    await asyncio.sleep(REPLY_TIMEOUT + 0.5)

    assert states == []
    assert replica.fresh_until > time.monotonic() + 20, "what a read has told is fresh for long"


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_an_answer_that_lay_about_is_as_old_as_it_is(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a blocked event loop, an old answer that told nothing counted as fresh for a moment."""
    registry = new_registry(consistency="cached", settings=QUICK)
    registry.register("h", "llm", Client())
    assert await registry.get_service("h", "llm") is not None
    read, held_up = EventReader.after, 0

    async def late(reader: EventReader, *args: Any) -> Any:
        nonlocal held_up
        events = await read(reader, *args)
        if events == [] and not held_up:
            held_up = 1
            time.sleep(0.6)  # noqa: ASYNC251 # that is what blocks it
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


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_following_keeps_fresh_what_is_told_of_something_now_and_then(
    new_registry: New,
) -> None:
    """An answer is as old as its read, which may have waited for a long time before it."""
    settings = RegistrySettings(store_timeout=5.0, max_staleness=1.0)
    one = new_registry(consistency="cached", settings=settings)
    other = new_registry(consistency="cached", settings=settings)
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="shared")
        assert await registry.get_service("h", "llm") is not None
    replica = other._parts.replicas.of("llm")
    stale, end = [], time.monotonic() + 3.5
    await asyncio.sleep(0.5)
    told = time.monotonic()
    while time.monotonic() < end:
        await asyncio.sleep(0.02)
        if time.monotonic() > told + 0.6:
            told = time.monotonic()
            one.breaker("llm", "shared").force_open("a test", 0.001)
        left = replica.fresh_until - time.monotonic()
        if left <= 0:
            stale.append(left)
    assert len(stale) <= 3, stale


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
    await async_wait_until(lambda: not other._parts.replicas.of("llm").snapshot.damaged)
    await asyncio.sleep(1.0)
    await follows(one, other, "llm", 5.0)


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_what_was_damaged_for_a_moment_does_not_end_the_tail(
    pair: tuple[ServiceRegistry, ServiceRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started again after a while, which grew each time; nobody ended a doubt meanwhile."""
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
async def test_whatever_redis_says_the_tail_asks_again(
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


@pytest.mark.filterwarnings("ignore")
async def test_a_tail_that_often_failed_ends_a_doubt_all_the_same(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept for up to half a minute, in which an open provider was called."""
    registry = new_registry(consistency="cached", settings=QUICK)
    began: list[float] = []

    async def broken(tail: Watcher, store: object) -> None:
        began.append(time.monotonic())
        raise ValueError(tail, store)

    monkeypatch.setattr(Watcher, "_run", broken)
    monkeypatch.setattr("random.uniform", lambda _least, most: most)
    await registry.start()
    await async_wait_until(lambda: len(began) == 7, timeout=15.0)
    assert began[-1] - began[-2] < 2.0


@pytest.mark.parametrize("url", ["real"], indirect=True)
async def test_events_that_cannot_be_read_are_asked_for_less_and_less_often(
    pair: tuple[ServiceRegistry, ServiceRegistry],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All else was answered, so it came back at once, hundreds of times a second, and silently."""
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
    assert len(said) == 2, "once each"
    await other.breaker("llm", "shared").aforce_open("a test", 60)
    await asyncio.sleep(1.0)
    assert one.health().redis == "connected"
    assert await one.get_service("h", "llm") is None, "it has asked"

    monkeypatch.setattr(EventReader, "after", read)
    await asyncio.sleep(3.0)
    await follows(*pair, "memory", AT_ONCE)
    assert len([line for line in caplog.messages if "can be read again" in line]) == 2
