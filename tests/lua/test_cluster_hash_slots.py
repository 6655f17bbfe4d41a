"""All keys of each script call lie in one hash slot of a cluster, as a cluster requires."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitBreakerConfig, RegistrySettings
from ciris_registry.names import EVERY_HANDLER, GLOBAL
from ciris_registry.registration import Registration
from ciris_registry.store.connection.clients import Clients
from ciris_registry.store.connection.url import StoreURL
from ciris_registry.store.keys import TypeKeys
from ciris_registry.store.partitioning import Partitioning
from ciris_registry.store.records.registrations import WantedRegistration
from ciris_registry.store.records.replies import BatchedSuccesses, OfflineMerge
from ciris_registry.store.scripts import load_scripts
from ciris_registry.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ciris_registry.store.connection.transport import Transport

SLOTS = 16_384
ODD = "a:b/c.d-e"


def slot_of(key: str) -> int:
    """The slot by the cluster specification: CRC16 of the text between the first braces."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    hashed = tag if opened and closed and tag else key
    return binascii.crc_hqx(hashed.encode(), 0) % SLOTS


class ScriptCalls(list[tuple[str, list[str]]]):
    """The keys of every script call, by the script's name."""

    def of(self, transport: Transport) -> None:
        """Record those of a transport."""
        evaluate, names = transport.evaluate, {one.sha: one.name for one in load_scripts().values()}

        def recording(sha: str, text: str, numkeys: int, values: Any, **options: Any) -> Any:
            self.append((names[sha], [str(key) for key in values[:numkeys]]))
            return evaluate(sha, text, numkeys, values, **options)

        transport.evaluate = recording  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("123456789", 12_739),
        ("{user1000}.following", slot_of("user1000")),
        ("foo{}{bar}", slot_of("foo{}{bar}")),
        ("foo{{bar}}zap", slot_of("{bar")),
    ],
)
def test_the_slot_of_a_key_is_that_of_the_specification(key: str, slot: int) -> None:
    assert slot_of(key) == slot


async def use_everything(store: Store, service_type: str, name: str, scope: str) -> None:
    """Call every method of the store that runs a script."""
    registration = Registration(service_type, name, scope)
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.0)
    wanted = [
        WantedRegistration(registration, config, chosen=True),
        WantedRegistration(Registration(service_type, "other", scope), config, chosen=False),
    ]
    await store.registrations.register(service_type, wanted)
    await store.registrations.register(service_type, wanted, rejoin=True)
    await store.breakers.configure(service_type, name, config, explicit=True)
    await store.processes.heartbeat([service_type, "other"], 2, "", 5.0, outage=False)
    await store.processes.agree_on_partitions()
    await store.processes.expired()
    await store.registrations.expire(service_type, "host-2-y", [registration.id])
    await store.processes.adopt("host-3-z", service_type, [registration.id])
    await store.processes.end("host-2-y")
    synced = await store.snapshots.sync(service_type, ("", "0"), {f"{scope}|0|NORMAL": 1})
    assert synced.changed is not None
    version, ids = synced.changed
    await store.snapshots.load(service_type, version, list(ids), [name, "other"])
    await store.registrations.check(service_type, version, list(ids), [name, "other"])
    await store.snapshots.take_positions(service_type, f"{scope}|0|NORMAL", 1)
    await store.breakers.record(service_type, name, "failure")
    await store.breakers.acquire(service_type, name, f"{store.process}|1")
    await store.breakers.record(service_type, name, "success", f"{store.process}|1")
    await store.breakers.record_successes(
        service_type, [BatchedSuccesses(name, 3, 20), BatchedSuccesses("other", 1, 0, 5)]
    )
    await store.breakers.merge_offline(
        service_type, name, OfflineMerge(1, 2, 1, 1, opened=True, cooldown=50)
    )
    await store.breakers.read(service_type, name)
    await store.breakers.trip_local(service_type, name, 50, "reason")
    await store.breakers.override(service_type, name, "open", "reason", "actor", 0)
    await store.breakers.reset(service_type, name, "reason", "actor")
    await store.breakers.forget(service_type, name)
    await store.check_rights(refused=True)
    await store.breakers.cool_down(service_type, name, 1_000, "reason")
    await store.breakers.restore(
        service_type, name, config, {"state": "open", "changed_at": "1"}, 1
    )
    await store.snapshots.begin_epoch(service_type, ("1", "2"))
    await store.snapshots.announce_restored(service_type, "reason", name, 1)
    await store.slots.take(registration, f"{store.process}|1")
    await store.slots.renew(service_type, {name: [f"{store.process}|1"], "other": ["p|1"]})
    await store.slots.release(service_type, name, [f"{store.process}|1"])
    await store.registrations.unregister(service_type, [one.registration.id for one in wanted])
    await store.processes.leave()


def keys_of(calls: list[tuple[str, list[str]]]) -> Iterator[tuple[str, set[int]]]:
    for script, keys in calls:
        yield script, {slot_of(key) for key in keys}


@pytest.mark.parametrize(
    ("namespace", "service_type", "name", "scope"),
    [
        ("default", "llm", "openai", GLOBAL),
        ("default", "llm", "openai", "chat"),
        ("default", "llm", ODD, EVERY_HANDLER),
        ("a.b-c_d", "a.b-c_d", ODD, ODD),
        ("0", "-", "permits:breaker:x", EVERY_HANDLER),
        ("n" * 200, "t" * 200, "p" * 200, "h" * 200),
    ],
)
async def test_all_keys_of_each_call_lie_in_one_slot(
    namespace: str, service_type: str, name: str, scope: str
) -> None:
    calls = ScriptCalls()
    clients = Clients(StoreURL.parse("memory://"))
    partitioning = Partitioning(namespace, 8)
    store = Store(clients, namespace, "host-1-x", RegistrySettings(), partitioning=partitioning)
    calls.of(store._transport)
    await use_everything(store, service_type, name, scope)
    await store.aclose()

    assert {script for script, _ in calls} == set(load_scripts())
    for script, slots in keys_of(calls):
        assert len(slots) == 1, f"the keys of {script} lie in slots {slots}"


def test_partitions_lie_in_slots_of_their_own() -> None:
    slots = {slot_of(TypeKeys("default", "llm", one).meta) for one in range(8)}
    assert len(slots) == 8


def test_one_read_may_follow_the_streams_of_all_service_types() -> None:
    streams = [TypeKeys("default", one).events for one in ("llm", "memory", "tool")]
    assert len({slot_of(stream) for stream in streams}) == 1
