"""The stores of all partitions of a namespace, for a reader that is no process of the fleet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry.store.partitioning import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.store.store import Store


class Stores:
    """Makes the store of each partition on first use; ``make`` takes its number.

    How many there are is read from Redis, and written by the fleet only.
    """

    def __init__(self, make: Callable[[int], Store]) -> None:
        self._make = make
        self._made = {0: make(0)}

    @property
    def first(self) -> Store:
        """The store of the first partition."""
        return self._made[0]

    async def all(self) -> list[Store]:
        """One store for each partition, in their order."""
        count = await self.first.processes.number_of_partitions()
        return [self._store(index) for index in range(count)]

    async def of(self, service_type: str) -> Store:
        """The store of the partition in which a service type lies."""
        count = await self.first.processes.number_of_partitions()
        return self._store(partition_of(service_type, count))

    def _store(self, index: int) -> Store:
        if index not in self._made:
            self._made[index] = self._make(index)
        return self._made[index]

    async def aclose(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(one.aclose() for one in self._made.values()))
