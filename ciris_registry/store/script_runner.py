"""Calling a script by its name and the names of its parameters.

Owns the keys of a call: those of its service type, of its subject, and the tail. What a script does
and replies is the matter of the typed methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ciris_registry.store.keys import TypeKeys
from ciris_registry.store.scripts import load_scripts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.scripts import Script

_NO_SUCH_PARAMETER = "tail"
"""The name of a tail for a script without one; such a call fails as one with an unknown name."""

_MOST_PREPARED: Final = 10_000
"""The most prepared calls; beyond it all are dropped, since programs make up provider names."""


class _Prepared(NamedTuple):
    """The part that is the same in each call of a script for one subject.

    ``keys`` is empty where the last key parameter is variadic, and so differs from call to call.
    """

    script: Script
    keys: list[str | int]
    named: Mapping[str, str | Sequence[str]]
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
        self._prepared: dict[tuple[str, str, str], _Prepared] = {}

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
            ScriptParameterError: A parameter is missing or unknown.
            StoreError: See ``Transport.evaluate``.
        """
        prepared = self._prepared.get((name, service_type, subject))
        if prepared is None:
            prepared = self._prepare(name, service_type, subject)
        script, keys = prepared.script, prepared.keys
        values = _laid_out(script, args) if tail is None and keys else None
        if values is None:
            named = prepared.named if tail is None else {**prepared.named, prepared.tail: tail}
            return self._send(script, named, args, repeatable=repeatable)
        return self._transport.evaluate(
            script.sha, script.text, len(keys), keys + values, repeatable=repeatable
        )

    async def run_with(
        self,
        name: str,
        keys: Mapping[str, str | Sequence[str]],
        /,
        **args: str | int | Sequence[str | int],
    ) -> list[Any]:
        """Call a script with keys that do not belong to a service type."""
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

    def _prepare(self, name: str, service_type: str, subject: str) -> _Prepared:
        script = self._scripts[name]
        parameters, tail = script.keys, _NO_SUCH_PARAMETER
        if script.keys_variadic:
            parameters, tail = parameters[:-1], parameters[-1]
        named = self.keys(service_type).for_parameters(parameters, subject)
        keys: list[str | int] = []
        if not script.keys_variadic:
            keys = [str(named[one]) for one in parameters]
        if len(self._prepared) >= _MOST_PREPARED:
            self._prepared.clear()
        prepared = _Prepared(script, keys, named, tail)
        self._prepared[name, service_type, subject] = prepared
        return prepared


def _laid_out(script: Script, args: Mapping[str, Any]) -> list[str | int] | None:
    """The arguments in their order; None if they are wrong, which ``Script.arrange`` reports."""
    try:
        values = [*script.take_args(args)]
    except KeyError:
        return None
    if len(values) != len(args):
        return None
    if script.args_variadic:
        last = values.pop()
        if isinstance(last, str | int):
            return None
        values += last
    return values


def flat(pairs: Mapping[str, str | int]) -> list[str | int]:
    """``field, value, …`` for a variadic parameter."""
    return [part for pair in pairs.items() for part in pair]
