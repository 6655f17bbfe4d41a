"""How much memory a provider takes, in Redis and in the process.

In Redis it is counted twice: by what the server says of each key of the service type, and by how
much more it uses. The first leaves out what the server needs beside the keys; the second means
something only where nobody else writes. In the process it is what Python has allocated, bindings
and snapshot and all.
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.pool import Client
from ciris_registry.bench.results import Measurement
from ciris_registry.store import TypeKeys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ciris_registry.bench.place import Place
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.rounds import Tick

_SERVICE: Final = "memory"
_CAPABILITIES: Final = ["chat", "tools", "vision"]
_BATCH: Final = 50


async def measure_memory(place: Place, plan: Plan, tick: Tick) -> list[Measurement]:
    """Register many providers for everybody, and divide what that took."""
    clients = [Client(f"provider-{number}") for number in range(plan.population)]
    # One that follows the stream would read it all anew as each of them appears, which takes long
    # and is not what is measured; in the end it holds the same.
    async with place.registry("exact") as registry:
        registry.register_global(_SERVICE, Client("first"), name="first")
        await registry.get_service("planner", _SERVICE)
        used_before = await _used(place)
        gc.collect()
        tracemalloc.start()
        try:
            for number, client in enumerate(clients, start=1):
                registry.register_global(
                    _SERVICE, client, capabilities=_CAPABILITIES, name=client.name
                )
                if number % _BATCH == 0:
                    await registry.flush()
                    tick(0.8 * number / len(clients))
            await registry.get_service("planner", _SERVICE)
            # hiredis keeps the room of a large reply until the next one comes.
            await registry.get_service("planner", _SERVICE)
            gc.collect()
            here, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        used = await _used(place) - used_before
        keys = await _of_keys(place, [client.name for client in clients])
    tick(1.0)
    count = len(clients)
    whose = "" if place.own else "; others' on this server among it"
    return [
        Measurement(
            name="memory_redis_keys",
            what="memory in Redis per provider, its keys",
            value=keys / count,
            unit="bytes",
            note=f"MEMORY USAGE of all keys of {count} providers, their latest events included",
        ),
        Measurement(
            name="memory_redis_used",
            what="memory in Redis per provider, used_memory",
            value=used / count,
            unit="bytes",
            note=f"the difference over {count} providers, without connections{whose}",
        ),
        Measurement(
            name="memory_process",
            what="memory in the process per provider",
            value=here / count,
            unit="bytes",
            note=f"tracemalloc over {count} providers",
        ),
    ]


async def _used(place: Place) -> int:
    """Without the buffers of connections, which come and go."""
    info: dict[str, int] = await place.client.info("memory")
    return info["used_memory"] - info["mem_clients_normal"]


async def _of_keys(place: Place, names: Iterable[str]) -> int:
    keys = TypeKeys.of(place.namespace, _SERVICE)
    asked = [keys.registrations, keys.members, keys.cursors, keys.events, keys.meta]
    for name in names:
        asked += [keys.registration(name), keys.breaker(name)]
        asked += [keys.permits(name), keys.callers(name)]
    pipe = place.client.pipeline(transaction=False)
    for key in asked:
        pipe.memory_usage(key, samples=0)
    sizes: list[int | None] = await pipe.execute()
    return sum(size or 0 for size in sizes)
