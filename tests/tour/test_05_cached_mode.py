"""How a long-lived process resolves: from its own copy, which the stream of events keeps true.

It is the default mode of a registry.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    CircuitState,
    RegistrySettings,
    SelectionStrategy,
    ServiceRegistry,
)
from ciris_registry.store.records.breakers import BreakerStore
from ciris_registry.store.records.snapshots import SnapshotStore
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

TWICE = CircuitBreakerConfig(failure_threshold=2, recovery_timeout=60)
UNHURRIED = RegistrySettings(store_timeout=5.0, success_report_interval=60.0)
BY_THE_STREAM = RegistrySettings(store_timeout=5.0, write_timeout=1.0, max_staleness=30.0)
SOON = 3.0
"""Seconds within which the stream tells what only it can tell: where it is silent, nothing is asked
for 4 s."""
FOLLOWING = 0.3
"""Seconds after which a registry that has begun has read all that there was."""


class Client:
    """A provider without a health check."""


class Checked:
    """A provider with a health check."""

    def __init__(self) -> None:
        self.healthy = True
        self.asked = 0

    async def is_healthy(self) -> bool:
        self.asked += 1
        return self.healthy


@pytest.fixture
def new(new_registry: New) -> New:
    """Creates registries of the default mode that share one state."""
    return lambda **options: new_registry(
        **{"consistency": "cached", "settings": BY_THE_STREAM, **options}
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests to Redis that resolves made."""
    calls: list[str] = []
    for kind, name in (
        (SnapshotStore, "sync"),
        (SnapshotStore, "load"),
        (SnapshotStore, "take_positions"),
        (BreakerStore, "acquire"),
    ):
        method = getattr(kind, name)

        def noted(stored: object, *args: Any, _name: str = name, _method: Any = method) -> Any:
            calls.append(_name)
            return _method(stored, *args)

        monkeypatch.setattr(kind, name, noted)
    return calls


async def test_a_resolve_is_a_look_up(new: New, asked: list[str]) -> None:
    registry = new()
    client = Client()
    registry.register("h", "llm", client)
    assert await registry.get_service("h", "llm") is client
    asked.clear()

    for _ in range(1000):
        assert await registry.get_service("h", "llm") is client

    assert len(asked) <= 2, "the event of the registration may arrive between the two"


async def test_a_registration_of_another_process_arrives_by_the_stream(new: New) -> None:
    one, other = new(), new()
    client = Client()
    other.bind("llm", client)
    assert await other.get_service("h", "llm") is None
    await asyncio.sleep(FOLLOWING)

    one.register("h", "llm", Client(), name="shared")
    await one.flush()

    async def there() -> bool:
        return await other.get_service("h", "llm") is client

    await async_wait_until(there, SOON)


async def test_an_unregistration_by_another_process_arrives_by_the_stream(new: New) -> None:
    one, other = new(), new()
    other.bind("llm", Client())
    one.register("h", "llm", Client(), name="shared")
    await one.flush()
    assert await other.get_service("h", "llm") is not None
    await asyncio.sleep(FOLLOWING)

    await one.aunregister("shared")

    async def gone() -> bool:
        return await other.get_service("h", "llm") is None

    await async_wait_until(gone, SOON)


async def test_a_breaker_that_opens_anywhere_opens_here(new: New) -> None:
    one, other = new(), new()
    for registry in (one, other):
        registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=TWICE)
        assert await registry.get_service("h", "llm") is not None

    for _ in range(2):
        one.breaker("llm", "shared").record_failure()

    assert await one.get_service("h", "llm") is None
    await async_wait_until(lambda: not other.breaker("llm", "shared").is_available(), SOON)
    assert await other.get_service("h", "llm") is None


async def test_an_override_and_its_end_arrive_by_the_stream(new: New) -> None:
    one, other = new(), new()
    other.register("h", "llm", Client(), name="shared")
    assert await other.get_service("h", "llm") is not None
    handle = other.breaker("llm", "shared")

    await one.breaker("llm", "shared").aforce_open("maintenance", 60)
    await async_wait_until(lambda: handle.state is CircuitState.OPEN, SOON)
    assert await other.get_service("h", "llm") is None

    await one.breaker("llm", "shared").aclear_override()
    await async_wait_until(lambda: handle.state is CircuitState.CLOSED, SOON)
    assert await other.get_service("h", "llm") is not None


async def test_one_call_can_be_exact(new: New) -> None:
    one, other = new(), new()
    client = Client()
    other.bind("llm", client)
    assert await other.get_service("h", "llm") is None

    one.register("h", "llm", Client(), name="shared")
    await one.flush()

    assert await other.get_service("h", "llm", consistency="exact") is client
    assert await other.get_service("h", "llm") is client


async def test_changes_of_the_process_itself_are_seen_on_the_next_line(new: New) -> None:
    registry = new()
    assert await registry.get_service("h", "llm") is None

    first, second = Client(), Client()
    name = registry.register("h", "llm", first, circuit_breaker_config=TWICE)
    assert await registry.get_service("h", "llm") is first
    registry.register("h", "llm", second, name="second")
    breaker = registry.breaker("llm", name)

    breaker.record_failure()
    assert await registry.get_service("h", "llm") is first
    breaker.record_failure()
    assert await registry.get_service("h", "llm") is second

    breaker.reset()
    assert await registry.get_service("h", "llm") is first
    breaker.force_open("maintenance", 60)
    assert await registry.get_service("h", "llm") is second
    breaker.clear_override()
    assert await registry.get_service("h", "llm") is first
    breaker.cool_down(60)
    assert await registry.get_service("h", "llm") is second
    assert registry.unregister("second")
    assert await registry.get_service("h", "llm") is None


async def test_a_new_registry_reads_the_shared_state_before_its_first_resolve(new: New) -> None:
    old = new()
    for name in ("broken", "forced", "cooling", "well"):
        old.register_global("llm", Client(), name=name, circuit_breaker_config=TWICE)
    for _ in range(2):
        await old.breaker("llm", "broken").arecord_failure()
    await old.breaker("llm", "forced").aforce_open("maintenance", 60)
    await old.breaker("llm", "cooling").acool_down(60)

    fresh = new()
    clients = {name: Client() for name in ("broken", "forced", "cooling", "well")}
    for name, client in clients.items():
        fresh.bind(name, client)

    assert await fresh.get_service("h", "llm") is clients["well"]


async def test_successes_are_reported_in_batches_and_flush_reports_them(new: New) -> None:
    one, other = new(settings=UNHURRIED), new()
    one.register("h", "llm", Client(), name="shared")
    await one.flush()
    breaker = one.breaker("llm", "shared")

    for _ in range(100):
        breaker.record_success()

    assert one.health().pending_successes == 100
    assert (await other.breaker("llm", "shared").aget_stats())["total_successes"] == 0
    await one.flush()
    assert one.health().pending_successes == 0
    assert (await other.breaker("llm", "shared").aget_stats())["total_successes"] == 100


async def test_unreported_successes_count_in_the_stats_of_the_process(new: New) -> None:
    registry = new(settings=UNHURRIED)
    name = registry.register("h", "llm", Client())
    await registry.flush()
    breaker = registry.breaker("llm", name)

    for expected in range(1, 6):
        breaker.record_success()
        assert breaker.get_stats()["total_successes"] == expected

    await registry.flush()
    assert (await breaker.aget_stats())["total_successes"] == 5
    assert breaker.get_stats()["total_successes"] == 5


async def test_a_failure_is_reported_at_once_with_the_successes_before_it(new: New) -> None:
    one, other = new(settings=UNHURRIED), new()
    one.register("h", "llm", Client(), name="shared")
    await one.flush()

    for _ in range(7):
        one.breaker("llm", "shared").record_success()
    one.breaker("llm", "shared").record_failure()

    async def is_reported() -> bool:
        stats = await other.breaker("llm", "shared").aget_stats()
        return (stats["total_successes"], stats["total_failures"]) == (7, 1)

    await async_wait_until(is_reported)


async def test_a_round_robin_rotates_although_few_resolves_ask_redis(
    new: New, asked: list[str]
) -> None:
    registry = new()
    clients = [Client() for _ in range(4)]
    for client in clients:
        registry.register("h", "llm", client, strategy=SelectionStrategy.ROUND_ROBIN)

    got = [await registry.get_service("h", "llm") for _ in range(400)]

    assert [got.count(client) for client in clients] == [100] * 4
    assert asked.count("take") <= 400 // 16


async def test_a_health_check_runs_at_each_resolve(new: New) -> None:
    registry = new()
    provider = Checked()
    registry.register("h", "llm", provider)

    for turn in range(1, 6):
        assert await registry.get_service("h", "llm") is provider
        assert provider.asked == turn

    provider.healthy = False
    assert await registry.get_service("h", "llm") is None


async def test_waiting_for_services_wakes_on_the_registration(new: New) -> None:
    one, other = new(), new()
    other.bind("llm", Client())
    waiting = asyncio.ensure_future(other.wait_ready(20, ["llm"]))
    await other.start()
    assert not waiting.done()

    one.register_global("llm", Client(), name="shared")
    await one.flush()

    assert await waiting
    assert await other.get_service("h", "llm") is not None
    assert await other.wait_ready(0, ["llm"])
