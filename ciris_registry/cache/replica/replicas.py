"""The replicas of one process: one for each service type that it looks at."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ciris_registry.cache.replica.change import FullState
from ciris_registry.cache.replica.replica import Replica
from ciris_registry.store import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store.connection import RoundTrip


class Replicas:
    """Makes replicas on first use, which ``on_new`` is called after.

    ``by_type`` has those that were made. ``held`` has, by service type and name, what this process
    holds of breakers: their replica keeps them though they may have no registration.
    ``on_local_end`` is called when a shared state has ended a breaker's local streak.
    """

    def __init__(self, settings: RegistrySettings, round_trip: RoundTrip) -> None:
        self.by_type: dict[str, Replica] = {}
        self.held: dict[str, WeakValueDictionary[str, object]] = {}
        self.on_new: Callable[[], None] = lambda: None
        self.on_local_end: Callable[[str, str], None] = lambda _service_type, _name: None
        self._settings = settings
        self._agreed = True
        self._round_trip = round_trip

    def of(self, service_type: str) -> Replica:
        """The replica of a service type."""
        replica = self.by_type.get(service_type)
        return replica if replica is not None else self._begin(service_type)

    def take_over(self, other: Replica) -> None:
        """Know of a service type what the replica of another partition knows, and ask Redis."""
        replica = self.of(other.service_type)
        replica.note_clock(other.now(), time.monotonic())
        replica.apply(
            FullState(dataclasses.replace(other.authoritative_snapshot(), version=NOTHING), 0)
        )
        replica.place = ""

    def forget(self, service_type: str) -> None:
        """Drop a replica that another partition has taken over."""
        self.by_type.pop(service_type, None)
        self.held.pop(service_type, None)

    def distrust(self) -> None:
        """The next resolve of each service type has to ask Redis."""
        for replica in list(self.by_type.values()):
            replica.distrust()

    def agree(self, *, agreed: bool) -> None:
        """Whether this process and Redis agree; each replica keeps what that means for it."""
        self._agreed = agreed
        for replica in list(self.by_type.values()):
            replica.agree(agreed=agreed)

    def _begin(self, service_type: str) -> Replica:
        held = self.held[service_type] = WeakValueDictionary()
        replica = Replica(service_type, self._settings, held, self._round_trip, agreed=self._agreed)
        replica.used_at = time.monotonic()  # a new one is about to be used
        replica.on_local_end = lambda name: self.on_local_end(service_type, name)
        self.by_type[service_type] = replica  # last: other threads find ``held`` by it
        self.on_new()
        return replica
