"""Between loads, the events of the stream keep a process's copy true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from ciris_registry.cache.apply_event import follow
from ciris_registry.circuit_breaker.states import ReplyCode
from ciris_registry.store.decoding import COUNTERS, remembered
from ciris_registry.store.event import Event
from ciris_registry.store.replies import BreakerReply
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache.replica import Replica

    New = Callable[..., ServiceRegistry]


class Client:
    """A provider."""


@pytest.fixture
async def registry(new_registry: New) -> ServiceRegistry:
    """It knows the provider ``shared``, and nobody reads the streams for it."""
    registry = new_registry(consistency="cached")
    registry.register("h", "llm", Client(), name="shared")
    await registry.start()
    for task in list(registry._session._tasks):
        if "_supervised" in str(task.get_coro()):
            task.cancel()
    await registry.refresh()
    assert "shared" in mirror_of(registry).snapshot.breakers
    return registry


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The service types that were loaded whole."""
    from ciris_registry.store.snapshots import SnapshotStore

    loaded: list[str] = []
    load = SnapshotStore.load

    async def noted(stored: SnapshotStore, service_type: str, *args: Any) -> Any:
        loaded.append(service_type)
        return await load(stored, service_type, *args)

    monkeypatch.setattr(SnapshotStore, "load", noted)
    return loaded


def mirror_of(registry: ServiceRegistry) -> Replica:
    return registry._parts.replicas.of("llm")


def followed(registry: ServiceRegistry, *events: Event) -> bool:
    return follow(mirror_of(registry), events, registry._parts.batches.flush_now)


def opened(registry: ServiceRegistry, ahead: int = 1, **changed: Any) -> Event:
    """The event that tells that ``shared`` has opened, so many revisions ahead."""
    replica = mirror_of(registry)
    epoch, revision = replica.snapshot.version
    now = replica.now() + 1000
    known = replica.snapshot.breakers["shared"]
    state = dict.fromkeys(COUNTERS, "0")
    state |= {
        "state": "open",
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


async def test_the_next_event_is_taken_over_without_a_load(
    registry: ServiceRegistry, loads: list[str]
) -> None:
    replica, before = mirror_of(registry), int(mirror_of(registry).snapshot.version[1])
    event = opened(registry)

    assert followed(registry, event)

    assert registry.breaker("llm", "shared").state is CircuitState.OPEN
    assert replica.snapshot.version[1] == str(before + 1)
    assert replica.place == event.id
    assert await registry.get_service("h", "llm") is None
    assert not loads


async def test_an_event_behind_a_gap_is_refused_at_once_and_asks_for_a_load(
    registry: ServiceRegistry,
) -> None:
    """It waited for the load, and calls went on to a provider that was known to be down."""
    replica, version = mirror_of(registry), mirror_of(registry).snapshot.version

    assert not followed(registry, opened(registry, ahead=2))

    assert registry.breaker("llm", "shared").state is CircuitState.OPEN
    assert replica.snapshot.version == version


async def test_what_comes_behind_a_gap_is_taken_over_as_well(registry: ServiceRegistry) -> None:
    first = opened(registry, provider="unknown", kind="provider_registered", breaker="")
    assert not followed(registry, first, opened(registry, ahead=2))
    assert registry.breaker("llm", "shared").state is CircuitState.OPEN


@pytest.mark.parametrize("ahead", [0, -1])
async def test_an_event_of_an_older_revision_is_known_already(
    registry: ServiceRegistry, ahead: int
) -> None:
    replica, before = mirror_of(registry), mirror_of(registry).snapshot
    assert followed(registry, opened(registry, ahead))
    assert replica.snapshot is before


def stepped_back(registry: ServiceRegistry, seconds: float = 10) -> BreakerReply:
    """The server has answered with a clock that was ahead, and is not any more."""
    replica = mirror_of(registry)
    known = remembered(replica.snapshot.breakers["shared"])
    fields = {"probe_successes": "0", **known}
    now = replica.now()
    replica.learn("shared", BreakerReply(ReplyCode.COUNTED, now + round(seconds * 1000), fields))
    return BreakerReply(ReplyCode.COUNTED, now, fields)


async def test_a_clock_that_stepped_back_does_not_hide_an_opening(
    registry: ServiceRegistry,
) -> None:
    """The open provider was called for as long as the clock had stepped back."""
    event = opened(registry)
    stepped_back(registry)
    assert followed(registry, event)
    assert registry.breaker("llm", "shared").state is CircuitState.OPEN


async def test_an_answer_of_a_clock_that_stepped_back_has_all_be_read_anew(
    registry: ServiceRegistry, loads: list[str]
) -> None:
    reply = stepped_back(registry)
    mirror_of(registry).learn("shared", reply)
    await registry.get_service("h", "llm")
    assert loads == ["llm"]
    loads.clear()
    await registry.get_service("h", "llm", consistency="exact")
    assert not loads


async def test_a_sync_by_a_clock_that_stepped_back_reads_all_anew(
    registry: ServiceRegistry, loads: list[str]
) -> None:
    stepped_back(registry)
    await registry.get_service("h", "llm", consistency="exact")
    assert loads == ["llm"]


async def test_an_older_event_that_tells_something_else_asks_for_a_load(
    registry: ServiceRegistry,
) -> None:
    """Its version was taken over, and what it told was not: the copy counted as true."""
    replica, event = mirror_of(registry), opened(registry, state={"generation": "0"})
    stepped_back(registry)
    version = replica.snapshot.version
    assert not followed(registry, event)
    assert replica.snapshot.version == version


async def test_an_older_event_of_what_is_known_is_ticked_off(registry: ServiceRegistry) -> None:
    replica, event = mirror_of(registry), opened(registry)
    fields = json.loads(event.breaker)
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    replica.learn("shared", BreakerReply(ReplyCode.COUNTED, event.at + 5, told))
    assert followed(registry, event)
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
    "a revision that nobody can read": {"revision": "9" * 5000},
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
async def test_a_damaged_event_changes_nothing_and_asks_for_a_load(
    registry: ServiceRegistry, damage: dict[str, Any]
) -> None:
    replica = mirror_of(registry)
    version = replica.snapshot.version

    told = followed(registry, opened(registry, **damage))

    assert not told
    assert replica.snapshot.version == version
    if "revision" not in damage:
        assert registry.breaker("llm", "shared").state is CircuitState.CLOSED


async def test_an_event_about_an_unknown_breaker_asks_for_a_load(
    registry: ServiceRegistry,
) -> None:
    replica = mirror_of(registry)
    assert not followed(registry, opened(registry, provider="unknown"))
    assert "unknown" not in replica.snapshot.breakers


async def test_an_event_of_another_life_of_the_data_changes_nothing_here(
    registry: ServiceRegistry,
) -> None:
    assert not followed(registry, opened(registry, epoch="1"))
    assert registry.breaker("llm", "shared").state is CircuitState.CLOSED


async def test_an_entry_without_an_epoch_does_not_end_the_reading(
    new_registry: New, url: str
) -> None:
    """The read failed at it again and again, and nothing that came after it was seen."""
    rare = RegistrySettings(store_timeout=5.0, max_staleness=20.0)  # nothing is compared meanwhile
    one, other = (new_registry(consistency="cached", settings=rare) for _ in range(2))
    for each in (one, other):
        each.register("h", "llm", Client(), name="shared")
        assert await each.get_service("h", "llm") is not None
    store = await one._session.store()
    key = store.keys("llm").events
    await store._transport.command(
        lambda redis: redis.xadd(key, {"kind": "breaker_opened", "revision": "7"})
    )

    one.breaker("llm", "shared").force_open("a test", 60)

    await async_wait_until(
        lambda: other.breaker("llm", "shared").state is CircuitState.OPEN, timeout=5
    )
    assert not other.health().failures


async def test_who_joins_and_leaves_is_noted_without_a_load(
    registry: ServiceRegistry, loads: list[str]
) -> None:
    replica = mirror_of(registry)
    at = replica.now()
    joined = {"kind": "member_joined", "provider": "shared", "actor": "another", "id": "shared@h"}
    assert followed(registry, Event.parse("llm", f"{at}-0", joined))
    assert "another" in replica.snapshot.members["shared@h"]

    assert followed(registry, Event.parse("llm", f"{at + 1}-0", {**joined, "kind": "member_left"}))
    assert "another" not in replica.snapshot.members["shared@h"]
    assert not loads
