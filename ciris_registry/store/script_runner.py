"""Calling a script by its name and the names of its slots.

Owns which keys a call gets: those of its service type, of its subject, and the tail. It refuses to
know what a script does, what it answers, and how it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ciris_registry.store.keys import TypeKeys
from ciris_registry.store.scripts import load_scripts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.keys import ScriptKeys
    from ciris_registry.store.scripts import Script

_NO_SUCH_SLOT = "tail"
"""What a tail is called where a script takes none: then its slots are found to be wrong."""


class _Prepared(NamedTuple):
    """What is the same in each call of a script for one service type."""

    script: Script
    keys: ScriptKeys
    tail: str


class ScriptRunner:
    """The script calls of one process in one namespace.

    ``lease`` and ``retention`` are in milliseconds; many scripts take them.
    """

    def __init__(
        self, transport: Transport, namespace: str, process: str, lease: int, retention: int
    ) -> None:
        self.namespace = namespace
        self.process = process
        self.lease = lease
        self.retention = retention
        self._transport = transport
        self._scripts = load_scripts()
        self._keys: dict[str, TypeKeys] = {}
        self._prepared: dict[tuple[str, str], _Prepared] = {}

    def keys(self, service_type: str) -> TypeKeys:
        """The keys of one service type."""
        keys = self._keys.get(service_type)
        if keys is None:
            keys = self._keys[service_type] = TypeKeys.of(self.namespace, service_type)
        return keys

    def run(
        self,
        name: str,
        service_type: str,
        subject: str = "",
        /,
        *,
        tail: Sequence[str] | None = None,
        repeatable: bool = True,
        **args: str | int | Sequence[str | int],
    ) -> Awaitable[list[Any]]:
        """Call a script; its keys are the service type's, and ``tail`` where they are variadic.

        ``subject`` is a registration id or a provider's name, for the keys of one of either.

        Raises:
            ScriptSlotError: A slot is missing or unknown.
            StoreError: See ``Transport.evaluate``.
        """
        prepared = self._prepared.get((name, service_type)) or self._prepare(name, service_type)
        keys = prepared.keys.about(subject)
        if tail is not None:
            keys[prepared.tail] = tail
        return self._send(prepared.script, keys, args, repeatable=repeatable)

    async def run_with(
        self,
        name: str,
        keys: Mapping[str, str | Sequence[str]],
        /,
        **args: str | int | Sequence[str | int],
    ) -> list[Any]:
        """Call a script with keys that are no service type's."""
        return await self._send(self._scripts[name], keys, args)

    def _send(
        self,
        script: Script,
        keys: Mapping[str, str | Sequence[str]],
        args: Mapping[str, str | int | Sequence[str | int]],
        *,
        repeatable: bool = True,
    ) -> Awaitable[list[Any]]:
        numkeys, values = script.arrange(keys, args)
        return self._transport.evaluate(
            script.sha, script.text, numkeys, values, repeatable=repeatable
        )

    def _prepare(self, name: str, service_type: str) -> _Prepared:
        script = self._scripts[name]
        slots, tail = script.keys, _NO_SUCH_SLOT
        if script.keys_variadic:
            slots, tail = slots[:-1], slots[-1]
        keys = self.keys(service_type).for_parameters(slots)
        prepared = self._prepared[name, service_type] = _Prepared(script, keys, tail)
        return prepared


def flat(pairs: Mapping[str, str | int]) -> list[str | int]:
    """``field, value, …`` as a variadic slot takes them."""
    return [part for pair in pairs.items() for part in pair]
