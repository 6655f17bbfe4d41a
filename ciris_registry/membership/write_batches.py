"""Registrations that follow each other in the write queue, written together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.registration import Registration
    from ciris_registry.store import Store, WriteQueue

    Write = Callable[[Store, str, list[Registration]], Awaitable[object]]


class WriteBatches:
    """Adds writes of registrations to the write queue; one entry of it may hold many of them."""

    def __init__(self, write_queue: WriteQueue) -> None:
        self._write_queue = write_queue
        self._last: _Batch | None = None

    def add(self, what: str, registration: Registration, write: Write) -> None:
        """Write a registration by ``write``, in order with all other writes."""
        batch = self._last
        if batch is None or not batch.may_take(write, self._write_queue.last):
            batch = self._last = _Batch(write)
            of = f"{registration.service_type} {registration.id}"
            batch.number = self._write_queue.put(f"{what} {of}", batch.run, must_flush=True)
        batch.registrations.append(registration)


class _Batch:
    """Writes of one kind with nothing between them."""

    def __init__(self, write: Write) -> None:
        self.registrations: list[Registration] = []
        self.number = 0
        self._write = write
        self._begun = False

    def may_take(self, write: Write, last: int) -> bool:
        """Whether a write of this kind keeps its place in the queue, whose end is ``last``."""
        return write == self._write and self.number == last and not self._begun

    async def run(self, store: Store) -> None:
        """Write all of them, a call or a few for each service type."""
        self._begun = True
        by_type: dict[str, list[Registration]] = {}
        for one in self.registrations:
            by_type.setdefault(one.service_type, []).append(one)
        for service_type, registrations in by_type.items():
            await self._write(store, service_type, registrations)
