"""Writes that Redis goes on refusing while it takes others: they are set aside, and named.

Decides whether Redis refuses one write or all of them. The write queue has the order.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import CommandRefusedError, CorruptStateError, StoreUnavailableError
from ciris_registry.settings import REPLY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.store.connection import Connectivity
    from ciris_registry.store.store import Store

_log = logging.getLogger(__name__)

_PAUSES: Final = (0.01, 0.05, 0.0)
"""Seconds after each of the three tries."""

_MOST_NAMED: Final = 100

_ONE_WRITE: Final = (CommandRefusedError, CorruptStateError)
"""The errors that may concern one write: a key of another type, an argument, an unknown reply."""


class RejectedWrites:
    """The rejected writes of one process.

    ``by_name`` has the newest error of each, by what the write was; the newest hundred.
    ``check`` is a write that Redis takes if it takes any.
    """

    def __init__(self, connectivity: Connectivity) -> None:
        self.by_name: dict[str, str] = {}
        self.check: Callable[[Store], Awaitable[object]] = _nothing
        self._connectivity = connectivity

    async def send(
        self, store: Store, what: str, write: Callable[[Store], Awaitable[object]]
    ) -> None:
        """Send one write; set it aside if Redis refuses it three times, and takes another one.

        Raises:
            StoreUnavailableError: Redis is away, or refuses every write.
        """
        for pause in _PAUSES:
            try:
                await write(store)
            except _ONE_WRITE:
                await asyncio.sleep(pause)
            else:
                return
        await store.ping(REPLY_TIMEOUT)
        await self._take_another(store)
        try:
            await write(store)
        except _ONE_WRITE as error:
            self._add(what, error.problem)
            # The command is not refused for all; the next write that uses it may pass.
            self._connectivity.refusals.passed(error.command)

    async def _take_another(self, store: Store) -> None:
        try:
            await self.check(store)
        except StoreUnavailableError:
            raise
        except CorruptStateError:
            pass  # another key is damaged: Redis has answered

    def _add(self, what: str, problem: str) -> None:
        known = self.by_name.pop(what, None)
        if len(self.by_name) >= _MOST_NAMED:
            del self.by_name[next(iter(self.by_name))]
        self.by_name[what] = problem
        if known != problem:
            _log.error("%s is set aside, since Redis takes other writes: %s", what, problem)


async def _nothing(_store: Store) -> None:
    """The check of a queue that has no other write."""
