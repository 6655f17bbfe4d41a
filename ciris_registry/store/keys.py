"""Every key name in Redis, and nothing else.

A hash tag names the namespace and the partition. All keys of one partition lie in one slot of a
Redis Cluster: those of one script call, and the streams that one process reads together.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.registration import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX: Final = "ciris:v2"
"""The beginning of every key; the number is the version of the layout."""


class KeySubject(IntEnum):
    """What stands at the end of a key: nothing, a registration id or name, a name alone."""

    NONE = 0
    ID = 1
    NAME = 2


class KeyTemplate(NamedTuple):
    """A key, but for its subject."""

    prefix: str
    subject: KeySubject

    def about(self, subject: str) -> str:
        """The key of one subject."""
        if self.subject is KeySubject.NONE:
            return self.prefix
        return self.prefix + (subject if self.subject is KeySubject.ID else name_of(subject))


class PartitionKeys:
    """The keys of one partition of a namespace that belong to no service type."""

    def __init__(self, namespace: str, partition: int = 0) -> None:
        root = f"{PREFIX}:{{{namespace}/{partition}}}"
        self.leases: Final = f"{root}:leases"
        self.types: Final = f"{root}:types"
        self.processes: Final = f"{root}:processes"
        self.expiry: Final = f"{root}:expiry"
        self.rights: Final = f"{root}:rights"
        self.namespace: Final = f"{root}:namespace"
        self.root: Final = root

    def lease(self, process: str) -> str:
        """The set of registrations that hang on the lease of a process."""
        return f"{self.root}:lease:{process}"

    def process(self, process: str) -> str:
        """The hash of one process."""
        return f"{self.root}:process:{process}"

    def for_parameters(
        self, parameters: Iterable[str], subject: str = ""
    ) -> dict[str, str | Sequence[str]]:
        """The keys by the parameters of a script, which are called as they are here.

        ``subject`` is the process for ``lease`` and ``process``, the registration id for
        ``registration`` and ``holders``, the provider's name for the keys of a breaker, and either
        of them for ``slots``.
        """
        return {one: self.template(one).about(subject) for one in parameters}

    def template(self, parameter: str) -> KeyTemplate:
        """The key of a script's parameter, with its subject left open."""
        key = getattr(self, parameter)
        if isinstance(key, str):
            return KeyTemplate(key, KeySubject.NONE)
        subject = KeySubject.NAME if parameter == "slots" else KeySubject.ID
        return KeyTemplate(key(""), subject)


class TypeKeys(PartitionKeys):
    """The keys of one service type, and those of its partition."""

    def __init__(self, namespace: str, service_type: str, partition: int = 0) -> None:
        super().__init__(namespace, partition)
        root = f"{self.root}:{service_type}"
        self.registrations: Final = f"{root}:registrations"
        self.cursors: Final = f"{root}:cursors"
        self.events: Final = f"{root}:events"
        self.meta: Final = f"{root}:meta"
        self._root: Final = root

    def registration(self, registration_id: str) -> str:
        """The hash of one registration."""
        return f"{self._root}:registration:{registration_id}"

    def holders(self, registration_id: str) -> str:
        """The set of processes that hold one registration."""
        return f"{self._root}:holders:{registration_id}"

    def breaker(self, name: str) -> str:
        """The hash of one provider's breaker."""
        return f"{self._root}:breaker:{name}"

    def permits(self, name: str) -> str:
        """The sorted set of permits of one provider's breaker."""
        return f"{self._root}:permits:{name}"

    def callers(self, name: str) -> str:
        """The sorted set of processes that call one provider, and of those whose calls fail."""
        return f"{self._root}:callers:{name}"

    def local_trips(self, name: str) -> str:
        """The sorted set of processes with a local trip of one provider's breaker."""
        return f"{self._root}:local_trips:{name}"

    def slots(self, subject: str) -> str:
        """The sorted set of slots of one provider, by its name or the id of a registration."""
        return f"{self._root}:slots:{name_of(subject)}"
