"""The partitions that one registry uses: made on first use, and made anew if their number changes.

A call goes to the partition of its service type as soon as the number is agreed with Redis. Until
then each partition but the first counts Redis as away.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ciris_registry.cache import EvictionWarning
from ciris_registry.errors import StoreUnavailableError
from ciris_registry.membership import Bindings, Namer
from ciris_registry.names import service_type_name
from ciris_registry.partitions.assembly import assemble
from ciris_registry.partitions.move import leave_behind, take_over
from ciris_registry.store import Partitioning
from ciris_registry.store.connection import Clients

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable
    from enum import Enum

    from ciris_registry.cache import Replica
    from ciris_registry.membership import Naming
    from ciris_registry.partitions.partition import Partition
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.shared_breaker import Breakers
    from ciris_registry.store import Session, Store, WriteQueue
    from ciris_registry.store.connection import StoreURL

_MOST_READY: Final = 10_000
"""Programs may use any number of service types; beyond it the table is made anew."""

_CALLS_END: Final = 5.0
"""Seconds for which a service type is known in two partitions after it has moved."""


class Partitions:
    """The partitions of one registry.

    ``unflushed`` are the write queues with a registration that the next awaited call has to write.
    ``ready`` has, by service type as programs name it, the partition that a call goes to. It is
    empty until the number of partitions is agreed with Redis, and after that number has changed.
    """

    def __init__(
        self,
        partitioning: Partitioning,
        bindings: Bindings,
        unflushed: Collection[WriteQueue],
        make: Callable[..., Partition],
    ) -> None:
        self.ready: dict[object, Partition] = {}
        self.partitioning = partitioning
        self.bindings = bindings
        self.unflushed = unflushed
        self._make = make
        self._made: dict[int, Partition] = {}
        self.first = self._partition(0)
        partitioning.on_change = self._move
        bindings.on_change = self._bindings_changed

    # Which partition

    def of(self, service_type: str) -> Partition:
        """The partition of a service type by the number that this process goes by."""
        return self._partition(self.partitioning.of(service_type))

    async def agreed(self, service_type: str | Enum) -> Partition:
        """The partition of a service type by the fleet's number, which is asked for at the start.

        Raises:
            InvalidNameError: The service type is invalid.
        """
        kind = service_type_name(service_type)
        await self.first.session.store()
        if len(self.ready) >= _MOST_READY:
            self.ready.clear()
        partition = self.ready[service_type] = self.of(kind)
        return partition

    def made(self) -> list[Partition]:
        """The partitions that this process uses; the first one is always among them."""
        return list(self._made.values())

    def all(self) -> list[Partition]:
        """All partitions of the namespace."""
        return [self._partition(index) for index in range(self.partitioning.count)]

    def sessions(self) -> list[Session]:
        """The sessions of the partitions that this process uses."""
        return [one.session for one in self.made()]

    def with_type(self, service_type: str | None) -> list[Partition]:
        """The partition of a service type; all partitions of the namespace for None."""
        return self.all() if service_type is None else [self.of(service_type)]

    def replicas(self) -> list[tuple[Breakers, Replica]]:
        """The replica of each service type in use here, with the breakers of its partition."""
        return [
            (one.breakers, replica)
            for one in self.made()
            for kind, replica in list(one.replicas.by_type.items())
            if self.of(kind) is one
        ]

    # Acting in all of them

    async def start(self) -> None:
        """Connect each partition that this process uses."""
        await self.first.session.store()
        await asyncio.gather(*(one.session.store() for one in self.made()))

    async def each(
        self, work: Callable[[Partition], Awaitable[object]], chosen: Iterable[Partition] = ()
    ) -> None:
        """Do ``work`` in each partition that this process uses, or in those ``chosen``, at once.

        Raises:
            RegistryError: The first error, after the work has ended in all of them.
        """
        partitions = list(chosen) or self.made()
        if len(partitions) == 1:
            await work(partitions[0])
            return
        done = await asyncio.gather(*map(work, partitions), return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one

    async def flush(self) -> None:
        """Write everything that is pending now.

        Raises:
            StoreUnavailableError: Redis was unreachable for ``settings.write_timeout``.
            PartitionConflictError: Another process has named another number of partitions.
        """
        await self.first.session.store()
        await self.each(lambda one: one.lifecycle.flush_retrying())
        if self.partitioning.conflict is not None:
            raise self.partitioning.conflict

    async def refresh(self, service_type: str | Enum | None) -> None:
        """Reload one service type, or all in use.

        Raises:
            StoreUnavailableError: Redis was unreachable for ``settings.write_timeout``.
        """
        partitions = await self._partitions_with(service_type)
        await self.each(lambda one: one.lifecycle.refresh_retrying(service_type), partitions)

    async def refresh_unless_away(self, service_type: str | Enum | None) -> None:
        """Reload one service type, or all in use, where Redis is not unreachable."""
        partitions = await self._partitions_with(service_type)
        await self.each(lambda one: one.lifecycle.refresh_unless_away(service_type), partitions)

    async def _partitions_with(self, service_type: str | Enum | None) -> list[Partition]:
        if service_type is not None:
            return [await self.agreed(service_type)]
        await self.first.session.store()
        return self.all()

    async def wait_ready(self, required: Iterable[str], timeout: float) -> bool:
        """Wait until this process can use a provider of each service type; whether it can."""
        end = time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                await self.first.session.store()
        except TimeoutError:
            pass  # each partition says what is missing
        by_partition: dict[Partition, list[str]] = {}
        for kind in required:
            by_partition.setdefault(self.of(kind), []).append(kind)
        waits = [
            one.readiness.reached(kinds, max(0.0, end - time.monotonic()), timeout)
            for one, kinds in by_partition.items()
        ]
        return all(await asyncio.gather(*waits))

    async def leave(self) -> None:
        """Leave the fleet, and end what runs in the background."""
        for one in self.made():
            one.registrar.leave_all()
        try:
            await self.each(lambda one: one.lifecycle.leave())
        finally:
            await self.each(lambda one: one.session.aclose())
            self._bindings_changed()

    def leave_dead(self) -> None:
        """Unregister the providers whose weakly held instances have died."""
        for service_type, registration_id in self.bindings.take_dead():
            self.of(service_type).registrar.leave_one(service_type, registration_id)

    # The number of partitions

    async def _agree(self, index: int, store: Store) -> None:
        """Make sure that the number is known before a partition is used."""
        if index == 0:
            await store.processes.agree_on_partitions()
            return
        await self.first.session.store()
        if not self.partitioning.known:
            raise StoreUnavailableError(
                self.first.session.url,
                "the number of partitions is not known yet, because partition 0 is away",
            )

    def _move(self) -> None:
        """The number has changed: let each service type be used in its partition from now on."""
        self.ready.clear()
        for one in self.made():
            moving = [kind for kind in one.replicas.by_type if self.of(kind) is not one]
            for kind in moving:
                take_over(self.of(kind), one, kind)
            if moving and one.session.running():
                one.session.spawn(self._leave_behind(one, moving))
        self._bindings_changed()
        if self.first.session.running():
            self.first.session.spawn(self.start(), watched=True)

    async def _leave_behind(self, partition: Partition, service_types: Iterable[str]) -> None:
        """Leave service types where they were, when calls that began there have ended."""
        await asyncio.sleep(_CALLS_END)
        for kind in service_types:
            if self.of(kind) is not partition:
                await leave_behind(partition, kind)

    def _partition(self, index: int) -> Partition:
        partition = self._made.get(index)
        if partition is None:
            made = self._make(index, agree=self._agree, leave_dead=self.leave_dead)
            partition = self._made.setdefault(index, made)  # another thread may have made it
        return partition

    def _bindings_changed(self) -> None:
        # A picker must not keep an instance alive after its binding ended.
        for one in self.made():
            one.pickers.clear()
            one.readiness.wake()


def partitions_of(
    url: StoreURL,
    namespace: str,
    named: int | None,
    process: str,
    settings: RegistrySettings,
    naming: Naming,
    **options: Any,
) -> Partitions:
    """The partitions of a registry, of which a program has ``named`` the number or not.

    ``options`` are the other arguments of ``assemble``.

    Raises:
        RegistrationError: The number of partitions is out of its bounds.
    """
    partitioning, bindings = Partitioning(namespace, named), Bindings()
    unflushed: set[WriteQueue] = set()
    make = partial(
        assemble,
        clients=Clients(url),
        namespace=namespace,
        partitioning=partitioning,
        process=process,
        settings=settings,
        namer=Namer(naming),
        bindings=bindings,
        eviction=EvictionWarning(url.redacted),
        unflushed=unflushed,
        **options,
    )
    return Partitions(partitioning, bindings, unflushed, make)
