"""How much memory a provider takes, in Redis and in the process.

In Redis it is measured twice: as MEMORY USAGE of each key of the service type, and as the growth of
used_memory. The first leaves out what the server needs beside the keys; the second counts other
clients' writes too. In the process it is what Python has allocated, bindings and replica included.
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Final

from ciris_registry.bench.providers import Client
from ciris_registry.bench.report import Measurement
from ciris_registry.store import TypeKeys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ciris_registry.bench.plan import Plan, Progress
    from ciris_registry.bench.server import Server

_SERVICE: Final = "memory"
_CAPABILITIES: Final = ["chat", "tools", "vision"]
_BATCH: Final = 50


async def measure_memory(server: Server, plan: Plan, progress: Progress) -> list[Measurement]:
    """Register many providers for all handlers, and divide the memory by their number."""
    clients = [Client(f"provider-{number}") for number in range(plan.population)]
    # A cached registry would refresh at each registration, which takes long and is not what is
    # measured; its replica would be the same in the end.
    async with server.registry("exact") as registry:
        registry.register_global(_SERVICE, Client("first"), name="first")
        await registry.get_service("planner", _SERVICE)
        used_before = await _used(server)
        gc.collect()
        tracemalloc.start()
        try:
            for number, client in enumerate(clients, start=1):
                registry.register_global(
                    _SERVICE, client, capabilities=_CAPABILITIES, name=client.name
                )
                if number % _BATCH == 0:
                    await registry.flush()
                    progress(0.8 * number / len(clients))
            await registry.get_service("planner", _SERVICE)
            # hiredis keeps the buffer of a large reply until the next reply.
            await registry.get_service("planner", _SERVICE)
            gc.collect()
            allocated, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        used = await _used(server) - used_before
        keys = await _of_keys(server, [client.name for client in clients])
    progress(1.0)
    count = len(clients)
    others = "" if server.own else "; memory of other clients' data included"
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
            note=f"the difference over {count} providers, without connections{others}",
        ),
        Measurement(
            name="memory_process",
            what="memory in the process per provider",
            value=allocated / count,
            unit="bytes",
            note=f"tracemalloc over {count} providers",
        ),
    ]


async def _used(server: Server) -> int:
    """Bytes without the buffers of connections, which vary."""
    info: dict[str, int] = await server.client.info("memory")
    return info["used_memory"] - info["mem_clients_normal"]


async def _of_keys(server: Server, names: Iterable[str]) -> int:
    keys = TypeKeys(server.namespace, _SERVICE)
    asked = [keys.registrations, keys.leases, keys.cursors, keys.events, keys.meta]
    for name in names:
        asked += [keys.registration(name), keys.breaker(name)]
        asked += [keys.permits(name), keys.callers(name), keys.local_trips(name)]
    pipe = server.client.pipeline(transaction=False)
    for key in asked:
        pipe.memory_usage(key, samples=0)
    sizes: list[int | None] = await pipe.execute()
    return sum(size or 0 for size in sizes)
