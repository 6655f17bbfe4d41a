"""What a process knows and Redis has lost comes back; what only looks like a loss does nothing."""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitState, ServiceRegistry
from ciris_registry.cache.refresh import is_earlier
from ciris_registry.cache.replica.change import LocalEdit
from ciris_registry.store.records.snapshots import SnapshotStore

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

LOGGER = "ciris_registry.cache.restoration"


class Client:
    """A provider."""


async def ask(registry: ServiceRegistry, *words: str | int) -> Any:  # any reply
    store = await registry._session.store()
    return await store._transport.ask(*words)


async def keys(registry: ServiceRegistry) -> Any:
    return (await registry._session.store()).keys("llm")


async def events(registry: ServiceRegistry, kind: str) -> list[dict[str, str]]:
    found = await ask(registry, "XRANGE", (await keys(registry)).events, "-", "+")
    entries = [dict(zip(one[1][::2], one[1][1::2], strict=True)) for one in found]
    return [entry for entry in entries if entry["kind"] == kind]


@pytest.fixture
async def pair(new_registry: New) -> tuple[ServiceRegistry, ServiceRegistry]:
    """Two registries; both know the provider ``sick``, which is open."""
    one, other = new_registry(), new_registry()
    for registry in (one, other):
        for name in ("sick", "well"):
            registry.register("h", "llm", Client(), name=name)
        await registry.flush()
    for _ in range(5):
        await one.breaker("llm", "sick").arecord_failure()
    for registry in (one, other):
        await registry.get_service("h", "llm")
        assert registry.breaker("llm", "sick").state is CircuitState.OPEN
    return one, other


async def went_back(registry: ServiceRegistry, before: dict[str, str], revisions: int) -> None:
    """Give Redis the breaker as it was before, and a version that differs by so many revisions."""
    where = await keys(registry)
    fields = [word for pair in before.items() for word in pair]
    await ask(registry, "HSET", where.breaker("sick"), *fields)
    await ask(registry, "HINCRBY", where.meta, "revision", revisions)


async def test_an_older_revision_of_the_same_epoch_restores_what_is_known(
    pair: tuple[ServiceRegistry, ServiceRegistry], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = pair
    await went_back(one, {"state": "closed", "generation": "0", "changed_at": "0"}, -1)

    with caplog.at_level(logging.WARNING, LOGGER):
        for registry in (other, one):
            assert await registry.get_service("h", "llm")
            assert registry.breaker("llm", "sick").state is CircuitState.OPEN

    assert len(await events(one, "state_lost")) == 1
    assert [event["breakers"] for event in await events(one, "state_restored")] == ["sick", ""]
    assert [record.breakers for record in caplog.records] == [["sick"], []]  # type: ignore[attr-defined]


async def test_an_older_state_comes_back_though_newer_revisions_hide_it(
    pair: tuple[ServiceRegistry, ServiceRegistry],
) -> None:
    """Another process had written to the promoted replica before this one looked."""
    one, other = pair
    await went_back(one, {"state": "closed", "generation": "0", "changed_at": "0"}, 7)

    assert await other.get_service("h", "llm")

    assert other.breaker("llm", "sick").state is CircuitState.OPEN
    assert (await ask(one, "HGET", (await keys(one)).breaker("sick"), "state")) == "open"
    assert [event["breakers"] for event in await events(one, "state_restored")] == ["sick"]


async def test_a_new_process_that_was_faster_after_a_flush_does_not_close_an_open_breaker(
    pair: tuple[ServiceRegistry, ServiceRegistry], new_registry: New
) -> None:
    one, other = pair
    await ask(one, "FLUSHDB")
    fresh = new_registry()
    fresh.register("h", "llm", Client(), name="sick")
    await fresh.flush()
    assert fresh.breaker("llm", "sick").state is CircuitState.CLOSED

    await other.breaker("llm", "sick").arecord_success()
    await other.get_service("h", "llm")

    assert await fresh.get_service("h", "llm") is None
    assert fresh.breaker("llm", "sick").state is CircuitState.OPEN


async def test_a_breaker_that_is_written_for_a_process_that_knows_it_open_is_never_closed(
    pair: tuple[ServiceRegistry, ServiceRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings and state were two calls, and other processes were admitted between them."""
    one, _ = pair
    store, seen = await one._session.store(), list[tuple[str, str]]()
    run = store.breakers._calls.run
    breaker = (await keys(one)).breaker("sick")

    async def watched(script: str, *args: Any, **named: Any) -> Any:
        reply = await run(script, *args, **named)
        if state := await ask(one, "HGET", breaker, "state"):
            seen.append((script, str(state)))
        return reply

    monkeypatch.setattr(store.breakers._calls, "run", watched)
    await ask(one, "FLUSHDB")
    await one.breaker("llm", "sick").arecord_failure()
    await one.get_service("h", "llm")

    assert seen
    assert {state for _, state in seen} == {"open"}, seen


async def test_an_event_that_overtakes_a_reply_is_no_loss(
    pair: tuple[ServiceRegistry, ServiceRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one question is on its way, this process learns of a newer version."""
    one, other = pair
    mine, theirs = (registry._parts.replicas.of("llm") for registry in pair)
    sync, overtaken = SnapshotStore.sync, list[str]()

    async def overtaken_sync(store: SnapshotStore, kind: str, *args: Any) -> Any:
        reply = await sync(store, kind, *args)
        if not overtaken:
            overtaken.append(kind)
            await other.breaker("llm", "well").aforce_open("newer", duration=60)
            await other.get_service("h", "llm")
            mine.apply(LocalEdit(theirs.snapshot))
        return reply

    monkeypatch.setattr(SnapshotStore, "sync", overtaken_sync)
    await one.breaker("llm", "well").arecord_failure()
    await other.breaker("llm", "well").acool_down(60)
    assert await one.get_service("h", "llm") is None

    assert overtaken
    assert not await events(one, "state_lost")
    assert not await events(one, "state_restored")


@pytest.mark.parametrize(
    ("version", "seen", "earlier"),
    [
        (("7", "4"), ("7", "5"), True),
        (("7", "5"), ("7", "5"), False),
        (("7", "9"), ("7", "10"), True),
        (("8", "4"), ("7", "5"), False),
        (("7", "4"), ("7", ""), False),
        (("", "0"), ("", "0"), False),
    ],
)
def test_only_a_smaller_revision_of_the_same_epoch_is_earlier(
    version: tuple[str, str], seen: tuple[str, str], *, earlier: bool
) -> None:
    assert is_earlier(version, seen) is earlier


@pytest.mark.parametrize("seconds", [1_800, -1_800])
async def test_a_server_clock_that_is_set_leaves_each_wait_as_long_as_it_was(
    new_registry: New, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """A breaker stayed open for half an hour more, or a cooldown was over at once."""
    # fakeredis follows time.time
    registry = new_registry(url=f"memory://{secrets.token_hex(6)}")
    for name in ("sick", "cooling"):
        registry.register("h", "llm", Client(), name=name)
    for _ in range(5):
        await registry.breaker("llm", "sick").arecord_failure()
    await registry.breaker("llm", "cooling").acool_down(100)
    assert await registry.get_service("h", "llm") is None
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)

    await registry.get_service("h", "llm")

    where, now = await keys(registry), time.time() * 1000
    retry_at = await ask(registry, "HGET", where.breaker("sick"), "retry_at")
    cooldown_until = await ask(registry, "HGET", where.breaker("cooling"), "cooldown_until")
    assert 50_000 < int(retry_at) - now <= 61_000
    assert 90_000 < int(cooldown_until) - now <= 101_000
