"""Every key name in Redis, and nothing else.

A hash tag names the namespace and the partition. All keys of one partition lie in one slot of a
Redis Cluster: those of one script call, and the streams that one process reads together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry.registration import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX: Final = "ciris:v2"
"""The beginning of every key; the number is the version of the layout."""


def partition_root(namespace: str, partition: int = 0) -> str:
    """The beginning of the keys of one partition of a namespace."""
    return f"{PREFIX}:{{{namespace}/{partition}}}"


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


@dataclass(frozen=True, slots=True)
class TypeKeys:
    """The keys of one service type of one namespace."""

    registrations: str
    members: str
    cursors: str
    events: str
    meta: str
    _root: str

    @classmethod
    def of(cls, namespace: str, service_type: str) -> TypeKeys:
        """The keys of this service type; both names must have been checked."""
        root = f"{partition_root(namespace)}:{service_type}"
        return cls(
            registrations=f"{root}:registrations",
            members=f"{root}:members",
            cursors=f"{root}:cursors",
            events=f"{root}:events",
            meta=f"{root}:meta",
            _root=root,
        )

    def for_parameters(
        self, parameters: Iterable[str], subject: str = ""
    ) -> dict[str, str | Sequence[str]]:
        """The keys by the parameters of a script, which are called as they are here.

        ``subject`` is the registration id for ``registration``, the provider's name for the keys of
        a breaker, and either of them for ``slots``.
        """
        return {one: self.template(one).about(subject) for one in parameters}

    def template(self, parameter: str) -> KeyTemplate:
        """The key of a script's parameter, with its subject left open."""
        key = getattr(self, parameter)
        if isinstance(key, str):
            return KeyTemplate(key, KeySubject.NONE)
        subject = KeySubject.NAME if parameter == "slots" else KeySubject.ID
        return KeyTemplate(key(""), subject)

    def registration(self, registration_id: str) -> str:
        """The hash of one registration."""
        return f"{self._root}:registration:{registration_id}"

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


def types_key(namespace: str) -> str:
    """The set of service types in use."""
    return f"{partition_root(namespace)}:types"


def process_key(namespace: str, process: str) -> str:
    """The hash of one process."""
    return f"{partition_root(namespace)}:process:{process}"
