"""Every key name in Redis, and nothing else.

All keys of one service type share a hash tag, so that whatever one script touches lies in one
slot of a Redis Cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PREFIX: Final = "ciris:v2"
"""Begins every key; the number is the version of the layout."""

_OF_A_SUBJECT: Final = frozenset(
    {"registration", "breaker", "permits", "callers", "local_trips", "slots"}
)


class ScriptKeys:
    """The keys of one service type that one script is given, whatever the call is about."""

    __slots__ = ("_of_subject", "_shared")

    def __init__(
        self, shared: Mapping[str, str], of_subject: Mapping[str, Callable[[str], str]]
    ) -> None:
        self._shared: dict[str, str | Sequence[str]] = {**shared}
        self._of_subject = tuple(of_subject.items())

    def about(self, subject: str = "") -> dict[str, str | Sequence[str]]:
        """The keys by parameter; the caller owns the dict.

        ``subject`` is the registration id for ``registration``, the provider's name for the keys of
        a breaker, and either of them for ``slots``.
        """
        keys = self._shared.copy()
        for slot, key_of in self._of_subject:
            keys[slot] = key_of(subject)
        return keys


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

    def for_parameters(self, slots: Iterable[str]) -> ScriptKeys:
        """The keys for slots of a script that are called as they are here."""
        named = {slot: getattr(self, slot) for slot in slots}
        own = {slot: key for slot, key in named.items() if slot in _OF_A_SUBJECT}
        return ScriptKeys({slot: named[slot] for slot in named if slot not in own}, own)

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
        """The sorted set of processes that call one provider, and of those that fail."""
        return f"{self._root}:callers:{name}"

    def local_trips(self, name: str) -> str:
        """The sorted set of processes in which alone one provider's breaker is open."""
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
