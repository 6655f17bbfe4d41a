"""The number of partitions of a namespace, as this process knows it, and where a service type lies.

Redis has the number that counts, in the first partition. A number that a program has named replaces
the default one; two processes that name different numbers are in conflict.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from redis.crc import key_slot

from ciris_registry.errors import PartitionConflictError, RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

MOST_PARTITIONS: Final = 1024
"""Each partition that a process uses costs it two connections."""

NAMED: Final = "named"
_DEFAULT: Final = "default"


class Partitioning:
    """What one process knows of the partitions of its namespace.

    ``count`` is the number that it goes by, ``known`` whether Redis has confirmed it in this
    process's life. ``conflict`` is the problem if another process has named another number.
    ``on_change`` is called after a change of the number.

    Raises:
        RegistrationError: The number is out of its bounds.
    """

    def __init__(self, namespace: str, named: int | None = None) -> None:
        if named is not None and not _is_number(named):
            raise RegistrationError(
                f"partitions is {named!r:.80}; use a whole number from 1 to {MOST_PARTITIONS}, or "
                f"leave it out to use the namespace's"
            )
        self.count = named or 1
        self.known = False
        self.conflict: PartitionConflictError | None = None
        self.on_change: Callable[[], None] = lambda: None
        self._namespace = namespace
        self._wanted = named
        self._named = named is not None

    @property
    def origin(self) -> str:
        """``named`` or ``default``, as it is written."""
        return NAMED if self._named else _DEFAULT

    def of(self, service_type: str) -> int:
        """The partition of a service type by the number that this process goes by."""
        return partition_of(service_type, self.count)

    def adopt(self, count: str, origin: str) -> None:
        """Go by the number that Redis has."""
        number, self.known = min(int(count), MOST_PARTITIONS), True
        self._named = self._named or origin == NAMED
        self._compare(number)
        if number != self.count:
            self.count = number
            self.on_change()

    def _compare(self, number: int) -> None:
        """Log a conflict once; it ends when the fleet has the number that this process names."""
        if self._wanted in {None, number}:
            self.conflict = None
        elif self.conflict is None or self.conflict.recorded != number:
            self.conflict = PartitionConflictError(self._namespace, self._wanted or 1, number)
            _log.error("%s", self.conflict, extra={"namespace": self._namespace})


def partition_of(service_type: str, count: int) -> int:
    """The partition of a service type: CRC16 of its name modulo the number of partitions."""
    return key_slot(service_type.encode(), count) if count > 1 else 0


def _is_number(named: object) -> bool:
    if not isinstance(named, int) or isinstance(named, bool):
        return False
    return 1 <= named <= MOST_PARTITIONS
