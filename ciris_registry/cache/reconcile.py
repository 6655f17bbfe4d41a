"""Reconciling with Redis: when it is there for the first time in an event loop, or again.

Runs the steps that it is given, in their order, until all of them have succeeded; only then is
Redis connected. From the first answer until then it is suspended, so that this process makes no
probes of its own. Afterwards the watcher takes over.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import RegistryError, StoreUnavailableError
from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.store.connection import backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ciris_registry.store import Session, Store
    from ciris_registry.store.connection import Connectivity

_FIRST_CONTACT: Final = 2.0
"""Seconds that a registry waits for a first reply of Redis when it starts, before it goes on
without."""

_WHOLE_CONTACT: Final = 10.0
"""Seconds for all of it, of a Redis that is far away."""

_PING: Final = 1.0
"""Seconds after which a Redis that was suspended counts as lost; it may still answer."""

_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 2.0
"""Seconds between two attempts to reconcile."""

_LONGEST_WAIT_FOR_A_MASTER: Final = 0.4
"""As above, where another server takes the place of a dead one within seconds."""


class Reconciler:
    """Brings one process and Redis into agreement.

    ``first_contact`` is what a start has to do. ``steps`` follow a loss of the connection: replay
    offline outcomes, deliver the write queue, renew the leases, refresh the replicas. ``last`` runs
    when Redis is connected again: it replays the outcomes that were counted during the steps.
    """

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        *,
        fails_over: bool,
        first_contact: Callable[[Store], Awaitable[object]],
        steps: Sequence[Callable[[Store], Awaitable[object]]],
        last: Callable[[Store], Awaitable[object]],
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._longest_wait = _LONGEST_WAIT_FOR_A_MASTER if fails_over else _LONGEST_WAIT
        self._first_contact = first_contact
        self._steps = tuple(steps)
        self._last = last

    async def begin(self, store: Store) -> None:
        """Try to reach Redis once, in a new event loop; the connectivity says how that went."""
        try:
            await self._contact(store)
            self._connectivity.mark_connected()
        except TimeoutError:
            self._connectivity.mark_lost(store.no_answer(_FIRST_CONTACT))
        except StoreUnavailableError as error:
            self._connectivity.mark_lost(error)

    async def run(self, store: Store) -> None:
        """Try to reconcile, with growing, jittered waits, until it has succeeded."""
        refusals = self._connectivity.refusals
        if refusals.newest is not None:
            # The steps may not use what was refused, so the next call that does could be refused
            # again, many times a second.
            self._connectivity.mark_lost(refusals.newest)
            await asyncio.sleep(refusals.wait())
        for wait in backoff(_FIRST_WAIT, self._longest_wait):
            try:
                await self._session.revive()
                store.renew_connection()
                await self._answered(store)
                await store.check_rights(refused=refusals.newest is not None)
                self._connectivity.mark_answering()
                # A write on a dead connection would hold up all others.
                await store.end_silent_connections(self._connectivity.timeout)
                for step in self._steps:
                    await step(store)
                self._connectivity.mark_connected()
                await self._last(store)
            except RegistryError as error:
                self._connectivity.mark_lost(error)
            else:
                return
            await asyncio.sleep(wait)

    async def _contact(self, store: Store) -> None:
        """Do what a start has to do, as long as Redis goes on answering.

        Raises:
            TimeoutError: It did not.
        """
        task = self._session.spawn(self._start(store), watched=True)
        heard_at, opened = time.monotonic(), False
        end = heard_at + _WHOLE_CONTACT
        try:
            while not task.done():
                if store.is_open and not opened:
                    heard_at, opened = time.monotonic(), True
                heard_at = max(heard_at, self._connectivity.replied_at)
                left = min(end, heard_at + _FIRST_CONTACT) - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                await asyncio.wait({task}, timeout=left)
            await task
        finally:
            task.cancel()

    async def _start(self, store: Store) -> None:
        await store.check_rights()
        await self._first_contact(store)
        if not self._connectivity.round_trip.seconds:
            await store.ping(REPLY_TIMEOUT)  # the wait of the first call goes by it

    async def _answered(self, store: Store) -> None:
        """Have Redis answer; if that takes long, Redis counts as lost, but may be far away."""
        ping = self._session.spawn(store.ping(REPLY_TIMEOUT), watched=True)
        try:
            wait = max(_PING, 2 * self._connectivity.timeout)
            if not (await asyncio.wait({ping}, timeout=wait))[0]:
                self._connectivity.mark_lost(store.no_answer(wait))
            await ping
        finally:
            ping.cancel()
