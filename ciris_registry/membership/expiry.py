"""Removing the processes whose lease has expired, with all that hung on it.

One process at a time does it, in steps that are scripts of their own. The lease itself goes last:
if the sweeper is killed between two steps, another process begins again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciris_registry.store import Store


async def remove_expired(store: Store) -> None:
    """Remove the expired processes of this partition, unless another process is doing it.

    A process that turns out to be alive keeps its lease; it registers again what it has lost.
    """
    for process in await store.processes.expired():
        held = await store.processes.held(process)
        for service_type, ids in held.items():
            if not await store.registrations.expire(service_type, process, ids):
                break
        await store.processes.end(process)
