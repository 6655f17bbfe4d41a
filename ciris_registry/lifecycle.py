"""The life of a registry: flush, refresh, leave; and its end without ``aclose``.

Decides how long a program waits for each of them. Pending writes are in the write queue and in the
batches of successes. A registry in a forked process does not use its parent's connections. A
registry that is dropped without ``aclose`` cancels its tasks and warns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import warnings
import weakref
from typing import TYPE_CHECKING, Final, Protocol

from ciris_registry.errors import RegistryError, StoreUnavailableError
from ciris_registry.names import service_type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import Enum

    from ciris_registry.cache import DesiredState, Replicas, SingleFlights
    from ciris_registry.shared_breaker import SuccessBatches
    from ciris_registry.store import Session, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)

_LAST_ANSWER: Final = 0.25
"""Seconds that ``aclose`` waits for a first reply of Redis, or a call's wait if that is longer."""

_AT_THE_END: Final = 0.2
"""Seconds, at most, for each kind of pending write when a program ends without ``aclose``; or two
round trips, if these take longer."""


class Lifecycle:
    """Flushes, refreshes and leaves.

    ``leave_dead`` unregisters providers whose weakly held instances have died.
    """

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        batches: SuccessBatches,
        desired: DesiredState,
        replicas: Replicas,
        single_flights: SingleFlights,
        leave_dead: Callable[[], None],
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._batches = batches
        self._desired = desired
        self._replicas = replicas
        self._single_flights = single_flights
        self._leave_dead = leave_dead

    async def flush(self) -> None:
        """Write everything that is pending now to Redis, as long as Redis answers.

        Raises:
            StoreUnavailableError: Redis is unreachable; pending writes stay pending.
        """
        self._connectivity.require()
        await self._connectivity.while_answering(
            self._session.spawn(self._write_all(), watched=True)
        )

    async def flush_retrying(self) -> None:
        """``flush``, and retry when Redis is back, for ``settings.write_timeout`` seconds."""
        await self._session.store()
        self._leave_dead()
        await self._connectivity.retrying(self.flush)

    async def refresh_retrying(self, service_type: str | Enum | None) -> None:
        """Reload one service type, or all in use; retry for ``settings.write_timeout`` seconds."""
        store = await self._session.store()
        await self._connectivity.retrying(lambda: self._refresh(store, service_type))

    async def refresh_unless_away(self, service_type: str | Enum | None) -> None:
        """Reload one service type, or all in use, unless Redis is unreachable."""
        store = await self._session.store()
        await self._session.unless_away(lambda: self._refresh(store, service_type))

    async def leave(self) -> None:
        """Flush and leave the fleet, if Redis replies within 0.25 s."""
        session = self._session
        try:
            unsent = self._write_queue.pending or bool(session.sending) or self._batches.pending
            if unsent or session.running():
                store = await session.store()
                await self._answered(store)
                await self.flush()
                await self._desired.leave(store)
        except StoreUnavailableError as error:
            _log.warning("closed without leaving the fleet; the leases expire: %s", error)

    async def end_of_loop(self) -> None:
        """At the end of a loop without ``aclose``: write within 0.2 s, or drop the writes."""
        if not self._connectivity.connected:
            return
        with contextlib.suppress(TimeoutError, RegistryError):
            async with asyncio.timeout(self._at_the_end):
                await self._batches.flush()
        await self._write_queue.finish(self._at_the_end)

    @property
    def _at_the_end(self) -> float:
        return max(_AT_THE_END, 2 * self._connectivity.round_trip.seconds)

    async def _write_all(self) -> None:
        await self._batches.flush()
        await self._write_queue.flush()
        await self._session.landed()

    async def _answered(self, store: Store) -> None:
        """Have Redis answer, on a new connection if the present one is dead.

        Raises:
            StoreUnavailableError: It does not.
        """
        self._connectivity.require()
        wait = max(_LAST_ANSWER, self._connectivity.timeout)
        try:
            await self._connectivity.within_timeout(store.ping(wait), wait)
        except StoreUnavailableError:
            # The reconciler tries another connection at once.
            if not await self._connectivity.wait_connected(wait):
                raise

    async def _refresh(self, store: Store, service_type: str | Enum | None) -> None:
        self._leave_dead()
        await self.flush()
        kinds = (
            {*self._replicas.by_type, *await store.processes.service_types()}
            if service_type is None
            else {service_type_name(service_type)}
        )
        for kind in sorted(kinds):
            await self._single_flights.of(kind).reload(store)


class Owned(Protocol):
    """What has the sessions of a registry."""

    def sessions(self) -> Iterable[Session]:
        """The sessions that there are now."""
        ...


_owned: weakref.WeakSet[Owned] = weakref.WeakSet()


def end_with_owner(owner: object, owned: Owned) -> None:
    """End sessions when their owner is dropped, and detach them in a forked process."""
    _owned.add(owned)
    # Not at exit: a program that never closes its registry ends quietly.
    weakref.finalize(owner, _dropped, owned).atexit = False


def _dropped(owned: Owned) -> None:
    sessions = list(owned.sessions())
    abandoned = [one.abandon() for one in sessions]
    if any(abandoned):
        warnings.warn(
            f"a registry on {sessions[0].url} was dropped without aclose(); its tasks are "
            f"cancelled, and its leases expire",
            ResourceWarning,
            stacklevel=2,
        )


def _forked() -> None:
    for owned in list(_owned):
        for one in owned.sessions():
            one.disown()


os.register_at_fork(after_in_child=_forked)
