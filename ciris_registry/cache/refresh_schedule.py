"""When a service type is read anew in the background, and which ones are put aside for a moment.

While many registrations arrive, the service type is read a few times, not once for each of them. A
service type that cannot be read does not keep the others from being watched.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import RegistryError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from ciris_registry.cache.replica import Replica
    from ciris_registry.cache.single_flight import SingleFlights
    from ciris_registry.store import Store
    from ciris_registry.store.connection import Connectivity

_log = logging.getLogger(__name__)

REST: Final = 0.02
_RESTS: Final = 4
_LONGEST_REST: Final = 0.25
"""The rest between two reads of a whole service type: four times as long as the last read took,
within these bounds in seconds."""

_LONGEST_SYNC: Final = 60.0
"""Seconds that reading a service type may take while Redis goes on answering."""


class RefreshSchedule:
    """Refreshes service types; a damaged one is put ``aside`` for so many seconds."""

    def __init__(
        self, connectivity: Connectivity, single_flights: SingleFlights, aside: float
    ) -> None:
        self._connectivity = connectivity
        self._single_flights = single_flights
        self._seconds_aside = aside
        self._due: dict[str, float] = {}
        self._rested_at: dict[str, float] = {}
        self._aside: dict[str, float] = {}
        self._damaged: set[str] = set()

    @property
    def next_at(self) -> float:
        """The monotonic time at which the next service type is due; infinite if none is."""
        return min((*self._due.values(), *self._aside.values()), default=math.inf)

    @property
    def any_aside(self) -> bool:
        """Whether any service type is put aside."""
        return bool(self._aside)

    def is_aside(self, kind: str) -> bool:
        """Whether a service type is put aside."""
        return kind in self._aside

    def is_requested(self, kind: str) -> bool:
        """Whether a service type has changed by more than its events contained."""
        return kind in self._due

    def request(self, kind: str) -> None:
        """Events did not contain a whole change: read the service type as soon as it may be."""
        self._due.setdefault(kind, self._rested_at.get(kind, 0.0))

    def take_if_due(self, replica: Replica) -> bool:
        """Whether a service type has to be read anew now; if so, it is no longer put aside."""
        kind = replica.service_type
        if kind in self._aside:
            if time.monotonic() < self._aside[kind]:
                return False
            del self._aside[kind]
            return True
        due = self._due.get(kind)
        return not replica.place or (due is not None and time.monotonic() >= due)

    async def refresh(self, store: Store, kind: str) -> None:
        """Read a service type anew, as long as Redis is connected."""
        sync = self._single_flights.of(kind).run(store)
        await self._read(kind, self._connectivity.within_timeout(sync, _LONGEST_SYNC))

    async def reload(self, store: Store, kind: str) -> None:
        """Read a service type anew and whole, also while Redis is suspended."""
        await self._read(kind, self._single_flights.of(kind).reload(store))

    def put_aside(self, kind: str, error: RegistryError) -> None:
        """Leave a service type alone for a moment, so that the others are watched."""
        self._due.pop(kind, None)
        self._aside[kind] = time.monotonic() + self._seconds_aside
        if kind not in self._damaged:
            self._damaged.add(kind)
            _log.warning("service type %s cannot be watched: %s", kind, error)

    def readable(self, kinds: Iterable[str]) -> None:
        """These could be read: the next damage is logged again."""
        self._damaged.difference_update(kinds)

    async def _read(self, kind: str, work: Coroutine[object, object, object]) -> None:
        began = time.monotonic()
        try:
            await work
        except StoreUnavailableError:
            raise
        except RegistryError as error:
            self.put_aside(kind, error)
            return
        self._due.pop(kind, None)
        now = time.monotonic()
        self._rested_at[kind] = now + min(_LONGEST_REST, max(REST, _RESTS * (now - began)))
