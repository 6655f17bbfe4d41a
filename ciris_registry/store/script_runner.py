"""Calling a script by its name and the names of its parameters.

Owns the keys of a call: those of its service type, of its subject, and the variadic ones. The
transport sends it, and loads a script that the server has forgotten (NOSCRIPT). The typed
methods know what a script does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ciris_registry.store.connection import pack_script
from ciris_registry.store.keys import KeySubject, PartitionKeys, TypeKeys
from ciris_registry.store.scripts import load_scripts

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Mapping, Sequence

    from ciris_registry.store.connection import Transport
    from ciris_registry.store.scripts import Script

_NO_SUCH_PARAMETER = "more_keys"
"""Stands for a missing variadic parameter; ``more_keys`` is then an unknown parameter."""


class _Prepared(NamedTuple):
    """The part that is the same in each call of a script for one service type.

    ``keys`` leave the subject open; ``variadic`` is the last key parameter, if that is variadic.
    """

    script: Script
    keys: list[tuple[str, KeySubject]]
    parameters: tuple[str, ...]
    variadic: str


class PackedCall(NamedTuple):
    """One call of a script as it is sent, which may be sent many times."""

    script: Script
    numkeys: int
    values: list[str | int]
    packed: bytes


class ScriptRunner:
    """The script calls of one process in one partition.

    ``lease`` and ``retention`` are in milliseconds; many scripts take them.
    """

    def __init__(
        self,
        transport: Transport,
        namespace: str,
        partition: int,
        process: str,
        lease: int,
        retention: int,
    ) -> None:
        self.partition = PartitionKeys(namespace, partition)
        self._place = (namespace, partition)
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
            namespace, partition = self._place
            keys = self._keys[service_type] = TypeKeys(namespace, service_type, partition)
        return keys

    def run(
        self,
        name: str,
        service_type: str,
        subject: str = "",
        /,
        *,
        more_keys: Sequence[str] | None = None,
        repeatable: bool = True,
        **args: str | int | Sequence[str | int],
    ) -> Awaitable[list[Any]]:
        """Call a script; its keys are the service type's, and ``more_keys`` for a variadic one.

        ``subject`` is a registration id or a provider's name, for the keys of one of either.

        Raises:
            ScriptParameterError: A parameter is missing or unknown.
            StoreError: See ``Transport.evaluate``.
        """
        prepared = self._prepared.get((name, service_type))
        if prepared is None:
            prepared = self._prepare(name, service_type)
        script = prepared.script
        values = _laid_out(script, args) if more_keys is None and not script.keys_variadic else None
        if values is None:
            keys = self.keys(service_type).for_parameters(prepared.parameters, subject)
            if more_keys is not None:
                keys[prepared.variadic] = more_keys
            return self._send(script, keys, args, repeatable=repeatable)
        numkeys = len(prepared.keys)
        ends = ("", subject, subject.partition("@")[0])  # by KeySubject
        values[:0] = [prefix + ends[end] for prefix, end in prepared.keys]
        return self._transport.evaluate(
            script.sha, script.text, numkeys, values, repeatable=repeatable
        )

    def pack(
        self,
        name: str,
        service_type: str,
        more_keys: Sequence[str],
        **args: str | int | Sequence[str | int],
    ) -> PackedCall:
        """The call of a script with a variadic key parameter, for ``post``."""
        prepared = self._prepared.get((name, service_type)) or self._prepare(name, service_type)
        script = prepared.script
        keys = self.keys(service_type).for_parameters(prepared.parameters)
        keys[prepared.variadic] = more_keys
        numkeys, values = script.arrange(keys, args)
        return PackedCall(
            script, numkeys, values, pack_script(("EVALSHA", script.sha, numkeys), values)
        )

    def post(self, call: PackedCall) -> asyncio.Future[Any]:
        """Send a call at once, which must be possible; its reply goes to ``taken``."""
        return self._transport.post(call.packed)

    def taken(self, call: PackedCall, posted: asyncio.Future[Any]) -> list[Any] | None:
        """The reply to a call that was posted; None if ``finish`` has to be awaited for it."""
        if posted.cancelled() or posted.exception() is not None:
            return None
        reply: list[Any] | str | int | None = posted.result()
        if not isinstance(reply, list):
            return None
        self._transport.note_answer(call.script.text)
        return reply

    async def finish(self, call: PackedCall, posted: asyncio.Future[Any]) -> list[Any]:
        """The reply to a posted call; it is sent once more only if Redis cannot have it.

        Raises:
            StoreError: See ``Transport.evaluate``.
        """
        script, numkeys, values, _ = call
        return await self._transport.evaluate(
            script.sha, script.text, numkeys, values, repeatable=False, posted=posted
        )

    async def run_in_partition(
        self,
        name: str,
        process: str = "",
        /,
        *,
        more_keys: Sequence[str] | None = None,
        **args: str | int | Sequence[str | int],
    ) -> list[Any]:
        """Call a script whose keys are the partition's and those of a process."""
        script = self._scripts[name]
        parameters = script.keys[:-1] if script.keys_variadic else script.keys
        keys = self.partition.for_parameters(parameters, process)
        if more_keys is not None:
            keys[script.keys[-1]] = more_keys
        return await self._send(script, keys, args)

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
        parameters, variadic = script.keys, _NO_SUCH_PARAMETER
        if script.keys_variadic:
            parameters, variadic = parameters[:-1], parameters[-1]
        keys = self.keys(service_type)
        templates: list[tuple[str, KeySubject]] = [keys.template(one) for one in parameters]
        prepared = _Prepared(script, templates, parameters, variadic)
        self._prepared[name, service_type] = prepared
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
