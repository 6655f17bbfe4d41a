"""Between two loads, the events of the stream keep the replica true."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from ciris_registry.cache.apply_event import apply_events
from ciris_registry.cache.replica.change import BreakerReport
from ciris_registry.store.records.decoding import COUNTERS, remembered
from ciris_registry.store.records.event import Event
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache.replica.replica import Replica

    New = Callable[..., ServiceRegistry]


class Client:
    """A provider."""


@pytest.fixture
async def registry(new_registry: New) -> ServiceRegistry:
    """A registry that knows the provider ``shared``; no task reads the streams for it."""
    registry = new_registry(consistency="cached")
    registry.register("h", "llm", Client(), name="shared")
    await registry.start()
    for task in list(registry._session._tasks):
        if "_supervised" in str(task.get_coro()):
            task.cancel()
    await registry.refresh()
    assert "shared" in replica_of(registry).snapshot.breakers
    return registry


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The service types that were loaded."""
    from ciris_registry.store.records.snapshots import SnapshotStore

    loaded: list[str] = []
    load = SnapshotStore.load

    async def noted(stored: SnapshotStore, service_type: str, *args: Any) -> Any:
        loaded.append(service_type)
        return await load(stored, service_type, *args)

    monkeypatch.setattr(SnapshotStore, "load", noted)
    return loaded


def replica_of(registry: ServiceRegistry) -> Replica:
    return registry._parts.replicas.of("llm")


def applied(registry: ServiceRegistry, *events: Event) -> bool:
    return apply_events(replica_of(registry), events, registry._parts.batches.flush_now)


def opened(registry: ServiceRegistry, ahead: int = 1, **changed: Any) -> Event:
    """The event of the opening of ``shared``, ``ahead`` revisions after the replica's."""
    replica = replica_of(registry)
    epoch, revision = replica.snapshot.version
    now = replica.now() + 500
    known = replica.snapshot.breakers["shared"]
    state = dict.fromkeys(COUNTERS, "0")
    state |= {
        "state": "open",
        "born": str(known.born),
        "generation": str(known.generation + 1),
        "consecutive_openings": "1",
        "opened_at": str(now),
        "retry_at": str(now + 60_000),
        "changed_at": str(now),
        "override": "",
        "override_reason": "",
        "override_actor": "",
        **changed.pop("state", {}),
    }
    fields: dict[str, str] = {
        "kind": "breaker_opened",
        "provider": "shared",
        "actor": "another",
        "epoch": epoch,
        "revision": str(int(revision) + ahead),
        "breaker": json.dumps([part for pair in state.items() for part in pair]),
        **changed,
    }
    return Event.parse("llm", f"{now}-0", fields)


async def test_the_next_event_is_applied_without_a_load(
    registry: ServiceRegistry, loads: list[str]
) -> None:
    replica, before = replica_of(registry), int(replica_of(registry).snapshot.version[1])
    event = opened(registry)

    assert applied(registry, event)

    assert registry.breaker("llm", "shared").state is CircuitState.OPEN
    assert replica.snapshot.version[1] == str(before + 1)
    assert replica.place == event.id
    assert await registry.get_service("h", "llm") is None
    assert not loads


async def test_an_opening_after_a_gap_is_applied_at_once_and_requests_a_load(
    registry: ServiceRegistry,
) -> None:
    """It waited for the load, and calls went on to a provider that was known to be open."""
    replica, version = replica_of(registry), replica_of(registry).snapshot.version

    assert not applied(registry, opened(registry, ahead=2))

    assert registry.breaker("llm", "shared").state is CircuitState.OPEN
    assert replica.snapshot.version == version


async def test_events_after_a_gap_are_applied_too(registry: ServiceRegistry) -> None:
    first = opened(registry, provider="unknown", kind="provider_registered", breaker="")
    assert not applied(registry, first, opened(registry, ahead=2))
    assert registry.breaker("llm", "shared").state is CircuitState.OPEN


@pytest.mark.parametrize("ahead", [0, -1])
async def test_an_event_of_an_older_revision_is_known_already(
    registry: ServiceRegistry, ahead: int
) -> None:
    replica, before = replica_of(registry), replica_of(registry).snapshot
    assert applied(registry, opened(registry, ahead))
    assert replica.snapshot is before


def take(registry: ServiceRegistry, report: BreakerReport) -> None:
    """Take over a script's reply, as a write does."""
    replica = replica_of(registry)
    replica.note_clock(report.at, time.monotonic())
    assert replica.apply(report)


def stepped_back(registry: ServiceRegistry, seconds: float = 10) -> BreakerReport:
    """A report by a clock that has stepped back since the reply before it."""
    replica = replica_of(registry)
    known = remembered(replica.snapshot.breakers["shared"])
    fields = {"probe_successes": "0", **known}
    now = replica.now()
    take(registry, BreakerReport("shared", now + round(seconds * 1000), fields))
    return BreakerReport("shared", now, fields)


async def test_a_clock_that_stepped_back_does_not_hide_an_opening(
    registry: ServiceRegistry,
) -> None:
    """The open provider was called for as long as the clock had stepped back."""
    event = opened(registry)
    stepped_back(registry)
    applied(registry, event)
    assert registry.breaker("llm", "shared").state is CircuitState.OPEN


async def test_a_reply_by_a_clock_that_stepped_back_makes_the_next_resolve_load(
    registry: ServiceRegistry, loads: list[str]
) -> None:
    take(registry, stepped_back(registry))
    await registry.get_service("h", "llm")
    assert loads == ["llm"]
    loads.clear()
    await registry.get_service("h", "llm", consistency="exact")
    assert not loads


async def test_a_refresh_by_a_clock_that_stepped_back_loads(
    registry: ServiceRegistry, loads: list[str]
) -> None:
    stepped_back(registry)
    await registry.get_service("h", "llm", consistency="exact")
    assert loads == ["llm"]


async def test_an_older_event_with_another_state_requests_a_load(
    registry: ServiceRegistry,
) -> None:
    """Its version was applied and its state was not: the replica counted as true."""
    replica, event = replica_of(registry), opened(registry, state={"generation": "0"})
    stepped_back(registry)
    version = replica.snapshot.version
    assert not applied(registry, event)
    assert replica.snapshot.version == version


async def test_an_older_event_with_a_known_state_advances_the_version(
    registry: ServiceRegistry,
) -> None:
    replica, event = replica_of(registry), opened(registry)
    fields = json.loads(event.breaker)
    reported = dict(zip(fields[::2], fields[1::2], strict=True))
    take(registry, BreakerReport("shared", event.at + 5, reported))
    assert applied(registry, event)
    assert event.version == replica.snapshot.version


DAMAGED = {
    "no JSON": {"breaker": "{["},
    "a number": {"breaker": "7"},
    "nested too deep": {"breaker": "[" * 100_000},
    "nothing but a generation": {"breaker": '["generation", "7"]'},
    "no such state": {"state": {"state": "ajar"}},
    "a counter that is no number": {"state": {"retry_at": "soon"}},
    "a counter of many digits": {"state": {"retry_at": "9" * 400}},
    "a counter beyond counting": {"state": {"retry_at": float("inf")}},
    "a digit that is no number": {"state": {"generation": "²"}},
    "a revision that is no number": {"revision": "²"},
    "a revision of too many digits": {"revision": "9" * 5000},
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
async def test_a_damaged_event_changes_nothing_and_requests_a_load(
    registry: ServiceRegistry, damage: dict[str, Any]
) -> None:
    replica = replica_of(registry)
    version = replica.snapshot.version

    complete = applied(registry, opened(registry, **damage))

    assert not complete
    assert replica.snapshot.version == version
    if "revision" not in damage:
        assert registry.breaker("llm", "shared").state is CircuitState.CLOSED


async def test_an_event_of_an_unknown_breaker_requests_a_load(
    registry: ServiceRegistry,
) -> None:
    replica = replica_of(registry)
    assert not applied(registry, opened(registry, provider="unknown"))
    assert "unknown" not in replica.snapshot.breakers


async def test_an_event_of_another_epoch_changes_nothing(
    registry: ServiceRegistry,
) -> None:
    assert not applied(registry, opened(registry, epoch="1"))
    assert registry.breaker("llm", "shared").state is CircuitState.CLOSED


async def test_an_entry_without_an_epoch_does_not_stop_the_watcher(
    new_registry: New, url: str
) -> None:
    """Each read failed at this entry, and no event after it was applied."""
    rare = RegistrySettings(
        store_timeout=5.0, max_staleness=20.0
    )  # no comparison of versions during the test
    one, other = (new_registry(consistency="cached", settings=rare) for _ in range(2))
    for each in (one, other):
        each.register("h", "llm", Client(), name="shared")
        assert await each.get_service("h", "llm") is not None
    store = await one._session.store()
    key = store.keys("llm").events
    await store._transport.ask("XADD", key, "*", "kind", "breaker_opened", "revision", "7")

    one.breaker("llm", "shared").force_open("a test", 60)

    await async_wait_until(
        lambda: other.breaker("llm", "shared").state is CircuitState.OPEN, timeout=5
    )
    assert not other.health().failures


async def test_a_registration_that_comes_and_goes_is_applied_without_a_load(
    new_registry: New, loads: list[str]
) -> None:
    one, other = new_registry(consistency="exact"), new_registry(consistency="cached")
    one.register_global("llm", Client(), name="first")
    await one.flush()
    other.bind("llm", Client())
    assert await other.get_service("h", "llm") is not None
    replica = replica_of(other)
    await asyncio.sleep(0.1)  # until the refreshes that belong to a start have ended
    loads.clear()

    one.register_global("llm", Client(), name="second")
    await one.flush()
    await async_wait_until(lambda: replica.snapshot.names() == ["first", "second"])
    assert replica.snapshot.breakers["second"].state is CircuitState.CLOSED

    await one.aunregister("second")
    await async_wait_until(lambda: replica.snapshot.names() == ["first"])
    assert not loads


@pytest.mark.parametrize("consistency", ["cached", "exact"])
async def test_data_that_change_during_a_load_are_used_and_the_change_follows(
    new_registry: New, monkeypatch: pytest.MonkeyPatch, consistency: Any
) -> None:
    from ciris_registry.store.records.snapshots import SnapshotStore

    one, other = new_registry(consistency="exact"), new_registry(consistency=consistency)
    for name in ("first", "gone"):
        one.register_global("llm", Client(), name=name)
    await one.flush()
    other.bind("llm", Client())
    await other.start()
    load = SnapshotStore.load

    async def change_first(stored: SnapshotStore, *args: Any) -> Any:
        monkeypatch.setattr(SnapshotStore, "load", load)
        one.register_global("llm", Client(), name="second")
        await one.aunregister("gone")
        await one.breaker("llm", "first").acool_down(60)
        return await load(stored, *args)

    monkeypatch.setattr(SnapshotStore, "load", change_first)
    assert await other.get_service("h", "llm") is None  # the only one left of those is cooling down
    replica = replica_of(other)
    assert [name for name in replica.snapshot.names() if name != "second"] == ["first"]

    if consistency == "cached":
        await async_wait_until(lambda: replica.snapshot.names() == ["first", "second"])
    assert await other.get_service("h", "llm") is not None
    assert replica.snapshot.names() == ["first", "second"]
