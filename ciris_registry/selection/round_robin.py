"""Positions of the fleet's round robins, leased in blocks, so that few resolves ask Redis for one.

Each position belongs to one process, and each process uses its positions in order. The unused
positions of a block are skipped when its process ends.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import RegistryError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.store import Session
    from ciris_registry.store.connection import Connectivity

LARGEST_BLOCK: Final = 32
"""The length of a full block. The first blocks are short, and of random lengths from the third on:
in many processes that resolve only a few times, the unused positions must not all fall to the same
provider."""

_MOST_ROUND_ROBINS: Final = 10_000

_ANYWHERE: Final = 2**16
"""A round robin without a known position begins at a random one below this."""


class RoundRobin:
    """The positions of one cursor that this process may use, from ``next`` up to ``end``.

    ``beyond`` is the first position after those that this process knows to be taken, None if it
    knows none.
    """

    __slots__ = ("_refill", "beyond", "blocks", "end", "next", "refill_at", "spare")

    def __init__(self, refill: Callable[[RoundRobin], None]) -> None:
        self.next = self.end = 0
        self.blocks = 0
        self.refill_at = -1
        self.spare: tuple[int, int] | None = None
        self.beyond: int | None = None
        self._refill = refill

    def step(self) -> int:
        """The next position; -1 if no leased position is left."""
        position = self.next
        if position == self.end:
            if self.spare is None:
                return -1
            (position, self.end), self.spare = self.spare, None
            # A block of one position leases no next one: most processes that resolve once end then.
            single = position + 1 == self.end
            self.refill_at = -1 if single else (position + self.end) // 2
        self.next = position + 1
        if position == self.refill_at:
            self._refill(self)
        return position

    @property
    def upcoming(self) -> int:
        """The position that the next step will use, as far as this process knows."""
        return self.spare[0] if self.next == self.end and self.spare else self.next

    def next_size(self) -> int:
        """The number of positions to lease next: 1, 1, 2 or 3, 4 to 7, and so on."""
        least = 2 ** max(0, self.blocks - 1)
        if least >= LARGEST_BLOCK:
            return LARGEST_BLOCK
        return random.randrange(least, 2 * least)  # noqa: S311 # no secret

    def lease(self, first: int, size: int) -> None:
        """Add a leased block."""
        self.spare = (first, first + size)
        self.beyond = first + size

    def continue_locally(self) -> None:
        """Continue without Redis, from the last known position or a random one.

        Processes that know no position must not all begin with the same provider.
        """
        first = self.beyond
        if first is None:
            first = random.randrange(_ANYWHERE)  # noqa: S311 # no secret
        self.lease(first, LARGEST_BLOCK)


class RoundRobins:
    """The round robins of one process."""

    def __init__(self, session: Session, connectivity: Connectivity) -> None:
        self._session = session
        self._connectivity = connectivity
        self._round_robins: dict[tuple[str, str], RoundRobin] = {}
        self._leasing: dict[RoundRobin, asyncio.Task[RegistryError | None]] = {}

    def of(self, service_type: str, cursor: str) -> RoundRobin:
        """The round robin of a cursor."""
        key = (service_type, cursor)
        round_robin = self._round_robins.get(key)
        if round_robin is None:
            if len(self._round_robins) >= _MOST_ROUND_ROBINS:
                self._round_robins.clear()
            round_robin = self._round_robins[key] = RoundRobin(
                lambda one: self._refill(one, service_type, cursor)
            )
        return round_robin

    async def step(self, service_type: str, cursor: str) -> int:
        """The next position; leases a block if none is left."""
        round_robin = self.of(service_type, cursor)
        while (position := round_robin.step()) < 0:
            try:
                await self._connectivity.within_timeout(
                    self._leased(round_robin, service_type, cursor)
                )
            except StoreError:
                round_robin.continue_locally()
        return position

    def note(self, service_type: str, cursor: str, position: int) -> None:
        """Note a position that a resolve took in another way, to continue from it without Redis."""
        self.of(service_type, cursor).beyond = position + 1

    def _refill(self, round_robin: RoundRobin, service_type: str, cursor: str) -> None:
        if self._connectivity.connected:
            self._lease_soon(round_robin, service_type, cursor)

    async def _leased(self, round_robin: RoundRobin, service_type: str, cursor: str) -> None:
        # Concurrent resolves wait for the same block.
        error = await asyncio.shield(self._lease_soon(round_robin, service_type, cursor))
        if error is not None:
            raise error

    def _lease_soon(
        self, round_robin: RoundRobin, service_type: str, cursor: str
    ) -> asyncio.Task[RegistryError | None]:
        task = self._leasing.get(round_robin)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._session.spawn(self._lease(round_robin, service_type, cursor))
            self._leasing[round_robin] = task
        return task

    async def _lease(
        self, round_robin: RoundRobin, service_type: str, cursor: str
    ) -> RegistryError | None:
        size = round_robin.next_size()
        try:
            store = await self._session.store()
            round_robin.lease(
                await store.snapshots.take_positions(service_type, cursor, size), size
            )
        except RegistryError as error:
            return error
        finally:
            self._leasing.pop(round_robin, None)
        round_robin.blocks += 1
        return None
