"""Moving a service type to another partition: what this process has registered and knows of it.

Both partitions know it for a while, so that no call finds it missing. The breakers keep what this
process knows of them: an open one is put back, as after a loss.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ciris_registry.errors import StoreError

if TYPE_CHECKING:
    from ciris_registry.partitions.partition import Partition


def take_over(partition: Partition, other: Partition, service_type: str) -> None:
    """Use a service type in ``partition`` from now on, as in the ``other`` one before."""
    partition.replicas.take_over(other.replicas.of(service_type))
    partition.registrar.take_over(other.registrar, service_type)
    partition.breakers.take_over(other.breakers, service_type)


async def leave_behind(partition: Partition, service_type: str) -> None:
    """Leave a service type that another partition has taken over.

    If Redis is away, the writes wait for it, and what this process knows is dropped all the same.
    """
    partition.registrar.hand_over(service_type)
    with contextlib.suppress(StoreError):
        await partition.lifecycle.flush_retrying()
    partition.replicas.forget(service_type)
    partition.single_flights.forget(service_type)
