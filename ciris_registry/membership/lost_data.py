"""Looking for keys that Redis has lost: evicted, or deleted by hand.

One process of the fleet looks at each interval, and announces what is missing. The processes that
know it write it anew as they refresh their replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.cache import expected_breakers, expected_registrations

if TYPE_CHECKING:
    from ciris_registry.cache import Replica
    from ciris_registry.store import Store


async def find_lost(store: Store, replica: Replica, retention: float) -> None:
    """Compare what this process knows of a service type with the keys that Redis has.

    If the service type has just changed, the next interval looks again. A holder that has no lease
    gets one, so that what it holds expires with it.
    """
    service_type = replica.service_type
    checked = await store.registrations.check(
        service_type,
        replica.snapshot.version,
        expected_registrations(replica),
        expected_breakers(replica, retention),
    )
    for holder, held in checked.orphans.items():
        await store.processes.adopt(holder, service_type, held)
