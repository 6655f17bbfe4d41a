"""Every key name in Redis, and nothing else.

All keys of one service type share a hash tag, so that the keys of one script call lie in one slot
of a Redis Cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX: Final = "ciris:v2"
"""The beginning of every key; the number is the version of the layout."""


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
        root = f"{PREFIX}:{{{namespace}/{service_type}}}"
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
        """The keys for the KEYS parameters of a script, which have the names of this class.

        ``subject`` is the registration id for ``registration``, the provider's name for the keys of
        a breaker, and either of them for ``slots``.
        """
        named = {one: getattr(self, one) for one in parameters}
        return {one: key if isinstance(key, str) else key(subject) for one, key in named.items()}

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
        return f"{self._root}:slots:{subject.partition('@')[0]}"


def types_key(namespace: str) -> str:
    """The set of service types in use."""
    return f"{PREFIX}:{{{namespace}}}:types"


def process_key(namespace: str, process: str) -> str:
    """The hash of one process."""
    return f"{PREFIX}:{{{namespace}}}:process:{process}"
