"""Service types lie in partitions; each process goes by the number that the fleet has agreed on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    CircuitState,
    RegistrySettings,
    ServiceRegistry,
)
from ciris_registry.errors import PartitionConflictError, RegistrationError
from ciris_registry.store.partitioning import Partitioning
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

QUICK = RegistrySettings(lease=1.0, heartbeat_interval=0.1)
TYPES = ("llm", "memory", "audit", "tool", "communication", "search")
ONE_FAILURE = CircuitBreakerConfig(failure_threshold=1, failure_rate_threshold=None)


class Client:
    """A provider that says which one it is."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    async def answer(self) -> str:
        return self.name


def register_all(registry: ServiceRegistry) -> None:
    for kind in TYPES:
        registry.register_global(kind, Client(kind), name=f"of-{kind}")


async def answers(registry: ServiceRegistry) -> list[str]:
    return [await registry.call("h", kind, Client.answer) for kind in TYPES]


async def number(registry: ServiceRegistry) -> dict[str, str]:
    store = await registry._session.store()
    key = f"ciris:v2:{{{registry.namespace}/0}}:namespace"
    found: list[str] = await store._transport.ask("HGETALL", key)
    return dict(zip(found[::2], found[1::2], strict=True))


async def partition_keys(registry: ServiceRegistry, index: int) -> list[str]:
    store = await registry._session.store()
    found: list[str] = await store._transport.ask("KEYS", f"ciris:v2:{{*/{index}}}:*")
    return found


def test_a_service_type_lies_in_the_partition_of_its_checksum() -> None:
    partitioning = Partitioning("default", 8)

    assert partitioning.of("123456789") == 0x31C3 % 8  # the check value of CRC16/XMODEM
    assert len({partitioning.of(f"type-{one}") for one in range(100)}) == 8


@pytest.mark.parametrize("wrong", [0, -1, 1025, 2.0, "8", True])
def test_a_number_out_of_bounds_is_refused(wrong: Any) -> None:
    with pytest.raises(RegistrationError, match="whole number from 1 to 1024"):
        ServiceRegistry(url="memory://", partitions=wrong)


async def test_each_service_type_is_served_from_its_partition(new_registry: New) -> None:
    one, other = new_registry(partitions=8), new_registry()
    register_all(one)
    register_all(other)

    assert await answers(one) == await answers(other) == list(TYPES)

    assert await number(one) == {
        "partitions": "8",
        "origin": "named",
        "named_by": one.process_id,
    }
    for kind in TYPES:
        index = one._partitions.partitioning.of(kind)
        assert f"ciris:v2:{{default/{index}}}:{kind}:meta" in await partition_keys(one, index)
    info = other.get_provider_info()
    assert sorted(info["global_services"]) == sorted(TYPES)
    assert (await other.aget_provider_info())["circuit_breaker_stats"].keys() == {
        f"of-{kind}" for kind in TYPES
    }


async def test_an_opening_is_the_fleets_in_every_partition(new_registry: New) -> None:
    one = new_registry(partitions=8)
    other = new_registry(consistency="cached")
    for registry in (one, other):
        for kind in TYPES:
            registry.register_global(
                kind, Client(kind), name=f"of-{kind}", circuit_breaker_config=ONE_FAILURE
            )
        await registry.flush()
        await answers(registry)

    for kind in TYPES:
        await one.breaker(kind, f"of-{kind}").arecord_failure()

    handles = [other.breaker(kind, f"of-{kind}") for kind in TYPES]
    await async_wait_until(lambda: all(one.state is CircuitState.OPEN for one in handles))


async def test_a_process_on_the_default_moves_when_another_names_a_number(
    new_registry: New,
) -> None:
    early = new_registry(settings=QUICK)
    register_all(early)
    early.register_global("llm", Client("bad"), name="bad", circuit_breaker_config=ONE_FAILURE)
    await early.flush()
    bad, kept = early.breaker("llm", "bad"), early.breaker("llm", "of-llm")
    await bad.arecord_failure()
    await early.breaker("llm", "of-llm").aforce_open("a reason", 600)
    assert await number(early) == {
        "partitions": "1",
        "origin": "default",
        "named_by": early.process_id,
    }

    late = new_registry(partitions=8, settings=QUICK)
    late.bind("llm", Client("bound"))
    await late.start()
    await async_wait_until(lambda: early._partitions.partitioning.count == 8)
    await early.flush()
    await late.refresh()

    assert [one for one in TYPES if await late.get_service("h", one)] == []
    assert {one.name: one.reason for one in await late.explain("h", "llm")} == {
        "of-llm": "forced_open",
        "bad": "open",
    }
    await kept.aclear_override()
    await bad.areset()
    await late.refresh()
    assert await late.call("h", "llm", Client.answer) == "bound"
    assert await answers(early) == list(TYPES)


async def test_a_moved_service_type_leaves_nothing_behind(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciris_registry.partitions.partitions._CALLS_END", 0.01)
    early = new_registry(settings=QUICK)
    register_all(early)
    await early.flush()
    await new_registry(partitions=8).start()
    await async_wait_until(lambda: early._partitions.partitioning.count == 8)
    await early.flush()

    moved = [kind for kind in TYPES if early._partitions.partitioning.of(kind)]
    assert moved
    store = await early._session.store()
    for kind in moved:
        key = f"ciris:v2:{{default/0}}:{kind}:registrations"

        async def gone(key: str = key) -> bool:
            return bool(await store._transport.ask("ZCARD", key) == 0)

        await async_wait_until(gone)
    assert await answers(early) == list(TYPES)


async def test_a_default_process_that_starts_late_is_first_served_from_the_right_partition(
    new_registry: New,
) -> None:
    one = new_registry(partitions=8)
    one.register_global("llm", Client(), name="shared", circuit_breaker_config=ONE_FAILURE)
    await one.breaker("llm", "shared").arecord_failure()
    await one.flush()
    late = new_registry()
    late.register_global("llm", Client(), name="shared")

    assert await late.get_service("h", "llm") is None

    assert late.breaker("llm", "shared").state is CircuitState.OPEN


async def test_two_named_numbers_that_differ_are_an_error_of_flush_and_never_of_call(
    new_registry: New, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = new_registry(partitions=8), new_registry(partitions=4)
    register_all(one)
    await one.flush()
    register_all(other)

    assert await answers(other) == list(TYPES)

    with pytest.raises(PartitionConflictError, match=r"names 4 partitions, but .* has 8") as raised:
        await other.flush()
    assert (raised.value.named, raised.value.recorded) == (4, 8)
    assert other.health().conflict == str(raised.value)
    assert not other.health().ok
    assert one.health().ok
    errors = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert [one.getMessage() for one in errors] == [str(raised.value)]
    other_info = await other.aget_provider_info()
    assert sorted(other_info["global_services"]) == sorted(TYPES)


async def test_a_lost_number_is_written_back_by_those_who_know_it(new_registry: New) -> None:
    one, other = new_registry(partitions=8, settings=QUICK), new_registry(settings=QUICK)
    for registry in (one, other):
        register_all(registry)
        await registry.flush()
    await one.aclose()
    store = await other._session.store()

    await store._transport.ask("FLUSHDB")

    async def recorded() -> bool:
        return bool(await number(other))

    await async_wait_until(recorded)
    late = new_registry()
    register_all(late)
    assert await answers(late) == list(TYPES)
    assert (await number(late))["partitions"] == "8"
    assert (await number(late))["origin"] == "named"


async def test_events_of_all_partitions_are_read(new_registry: New) -> None:
    one = new_registry(partitions=8)
    await one.start()
    events = one.events()
    register_all(one)
    await one.flush()

    seen = set[str]()
    async for event in events:
        seen |= {event.service_type} if event.kind == "provider_registered" else set()
        if len(seen) == len(TYPES):
            break
    assert seen == set(TYPES)


async def test_a_registration_elsewhere_is_written_before_the_next_call_returns(
    new_registry: New,
) -> None:
    one, other = new_registry(partitions=8), new_registry(partitions=8)
    register_all(one)
    await answers(one)
    one.register_global("embedding", Client(), name="new")

    await one.call("h", "llm", Client.answer)

    await other.refresh("embedding")
    services = other.get_provider_info()["global_services"]
    assert [provider["name"] for provider in services["embedding"]] == ["new"]


async def test_leaving_ends_the_leases_in_all_partitions(new_registry: New) -> None:
    one, other = new_registry(partitions=8), new_registry(partitions=8)
    register_all(one)
    await one.flush()
    await other.refresh()
    assert sorted(other.get_provider_info()["global_services"]) == sorted(TYPES)

    assert one.unregister("of-llm")
    await one.aclose()

    await other.refresh()
    assert other.get_provider_info()["global_services"] == {}


async def test_readiness_waits_for_all_partitions(new_registry: New) -> None:
    one, other = new_registry(partitions=8), new_registry(partitions=8)
    for kind in TYPES:
        other.bind(kind, Client())
    assert not await other.wait_ready(0.05, TYPES)
    register_all(one)
    await one.flush()

    assert await other.wait_ready(5, TYPES)
