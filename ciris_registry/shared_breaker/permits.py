"""The permits that this process holds, until an outcome settles them or they end."""

from __future__ import annotations

import itertools
from collections import deque
from typing import NamedTuple


class HeldPermit(NamedTuple):
    """A permit, and the server's time at which it ends."""

    permit: str
    deadline: int


class HeldPermits:
    """The permits of one process, oldest first, by service type and provider."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._tokens = itertools.count(1)
        self.held: dict[tuple[str, str], deque[HeldPermit]] = {}

    def new(self) -> str:
        """A permit that no call has asked with before."""
        return f"{self._process}|{next(self._tokens)}"

    def keep(self, service_type: str, name: str, held: HeldPermit, now: int) -> None:
        """Hold a permit until the provider's next outcome; ``now`` is the server's time."""
        self.drop_ended(service_type, name, now)
        self.held.setdefault((service_type, name), deque()).append(held)

    def drop_ended(self, service_type: str, name: str, now: int) -> bool:
        """Drop the permits of a provider that have ended; whether any is left."""
        held = self.held.get((service_type, name))
        while held and held[0].deadline <= now:
            held.popleft()
        if not held:
            self.held.pop((service_type, name), None)
        return bool(held)

    def forget(self, service_type: str, name: str) -> None:
        """Drop all permits of a provider: they are void."""
        self.held.pop((service_type, name), None)

    def take(self, service_type: str, name: str, now: int) -> str:
        """The oldest permit that has not ended, else an empty string."""
        if not self.drop_ended(service_type, name, now):
            return ""
        return self.held[service_type, name].popleft().permit
