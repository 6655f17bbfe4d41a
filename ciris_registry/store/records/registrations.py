"""Registrations in Redis: written with their holders, looked after, and removed.

Owns one typed method for each script of a registration. Which registrations this process wants, and
what to do about lost ones, is decided elsewhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.registration import name_of
from ciris_registry.store.records.breakers import settings_of
from ciris_registry.store.records.chunks import chunks
from ciris_registry.store.records.identity import host_name
from ciris_registry.store.records.replies import Checked, Registered
from ciris_registry.store.script_runner import flat
from ciris_registry.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.registration import Registration
    from ciris_registry.store.connection import Transport
    from ciris_registry.store.keys import TypeKeys
    from ciris_registry.store.records.replies import Version
    from ciris_registry.store.script_runner import ScriptRunner

_KEYS = 3
"""A registration's keys: its record, its holders and its breaker."""

_COLUMNS = 6
"""What the reply to a registering call says of each registration."""

_SAMPLE = 100
"""The most holders of one registration that one check looks at; the next check takes others."""


class WantedRegistration(NamedTuple):
    """A registration to write, and the settings of its breaker.

    ``chosen``: a program chose the settings; else they are used only if there are none.
    """

    registration: Registration
    config: CircuitBreakerConfig
    chosen: bool


class RegistrationStore:
    """The registrations of one namespace, as one process writes them."""

    def __init__(self, calls: ScriptRunner, transport: Transport) -> None:
        self._calls = calls
        self._transport = transport

    async def register(
        self, service_type: str, wanted: Iterable[WantedRegistration], *, rejoin: bool = False
    ) -> list[Registered]:
        """Write registrations of one service type and hold them; one reply for each, in order.

        To ``rejoin`` is to hold them again: an existing record is not changed.
        """
        replies: list[Registered] = []
        retention = self._calls.retention
        written = [(one.registration, _arguments(one, retention)) for one in wanted]
        for chunk in chunks(written, lambda one: len(one[1]) + _KEYS):
            replies += await self._register(service_type, chunk, rejoin=rejoin)
        return replies

    async def _register(
        self,
        service_type: str,
        written: Sequence[tuple[Registration, list[str | int]]],
        *,
        rejoin: bool,
    ) -> Iterator[Registered]:
        calls, keys = self._calls, self._calls.keys(service_type)
        _, _, epoch, before, after, processes, *columns = await calls.run(
            "registration_register",
            service_type,
            calls.process,
            more_keys=[
                key
                for one, _ in written
                for key in (
                    keys.registration(one.id),
                    keys.holders(one.id),
                    keys.breaker(one.name),
                )
            ],
            service_type=service_type,
            holder=calls.process,
            lease_ms=calls.lease,
            retention_ms=calls.retention,
            mode="rejoin" if rejoin else "register",
            host=host_name(),
            pid=os.getpid(),
            version=__version__,
            records=[part for _, arguments in written for part in arguments],
        )
        rows = [columns[i : i + _COLUMNS] for i in range(0, len(columns), _COLUMNS)]
        versions = ((epoch, before), (epoch, after))
        return (
            Registered(
                row[0],
                float(row[1]),
                row[2] == "1",
                row[3],
                row[4],
                row[5],
                versions,
                int(processes),
            )
            for row in rows
        )

    async def unregister(self, service_type: str, ids: Iterable[str]) -> list[str]:
        """End this process's hold; ``removed``, ``left`` or ``absent`` for each, in order."""
        calls, keys, codes = self._calls, self._calls.keys(service_type), list[str]()
        for chunk in chunks(ids, lambda _: 4):
            _, *found = await calls.run(
                "registration_unregister",
                service_type,
                calls.process,
                more_keys=_hashes(keys, chunk),
                service_type=service_type,
                holder=calls.process,
                ids=[part for one in chunk for part in (one, name_of(one))],
            )
            codes += found
        return codes

    async def expire(self, service_type: str, process: str, ids: Iterable[str]) -> bool:
        """End the hold of a process whose lease is over; False if it is alive after all."""
        calls, keys = self._calls, self._calls.keys(service_type)
        for chunk in chunks(ids, lambda _: 4):
            reply = await calls.run(
                "registration_expire",
                service_type,
                process,
                more_keys=_hashes(keys, chunk),
                service_type=service_type,
                holder=process,
                sweeper=calls.process,
                ids=[part for one in chunk for part in (one, name_of(one))],
            )
            if reply[0] == "alive":
                return False
        return True

    async def check(
        self, service_type: str, version: Version, ids: Iterable[str], breakers: Iterable[str]
    ) -> Checked:
        """Look for lost keys, and keep the others alive; see the script."""
        calls, keys = self._calls, self._calls.keys(service_type)
        lost: list[str] = []
        orphans: dict[str, list[str]] = {}
        known = [*((one, True) for one in ids), *((one, False) for one in breakers)]
        for chunk in chunks(known, lambda _: 3):
            names = [one for one, _ in chunk]
            registered = [one for one, is_registration in chunk if is_registration]
            hashes = _hashes(keys, registered)
            reply = await calls.run(
                "registration_check",
                service_type,
                more_keys=[*hashes, *map(keys.breaker, names[len(registered) :])],
                checker=calls.process,
                epoch=version[0],
                revision=version[1],
                keep_ms=calls.lease + calls.retention,
                lease_ms=calls.lease,
                sample=_SAMPLE,
                ids=len(registered),
                names=names,
            )
            if reply[0] == "moved":
                return Checked(moved=True)
            first = 2 + int(reply[1])
            lost += reply[2:first]
            for holder, one in zip(reply[first::2], reply[first + 1 :: 2], strict=True):
                orphans.setdefault(holder, []).append(one)
            if lost:
                break  # which has changed the version
        return Checked(tuple(lost), orphans)

    async def holders(self, service_type: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """The processes that hold each registration; none where the set is damaged."""
        keys = self._calls.keys(service_type)
        found: list[list[str] | Exception] = await self._transport.ask_each(
            ("SMEMBERS", keys.holders(one)) for one in ids
        )
        return {
            one: sorted(held) if isinstance(held, list) else []
            for one, held in zip(ids, found, strict=True)
        }


def _hashes(keys: TypeKeys, ids: Iterable[str]) -> list[str]:
    return [key for one in ids for key in (keys.registration(one), keys.holders(one))]


def _arguments(wanted: WantedRegistration, retention: int) -> list[str | int]:
    registration = wanted.registration
    record, settings = flat(registration.fields()), settings_of(wanted.config, retention)
    head: list[str | int] = [registration.id, registration.name, int(wanted.chosen)]
    return [*head, len(record), *record, len(settings), *settings]


def held_name(service_type: str, registration_id: str) -> str:
    """The name of a registration in the set of a lease, as ``lib/holders`` has it."""
    return f"{service_type}|{registration_id}"


def held_by(found: Iterable[str]) -> Mapping[str, list[str]]:
    """Registration ids by service type, of the members of a lease's set."""
    ids: dict[str, list[str]] = {}
    for one in found:
        service_type, _, registration_id = one.partition("|")
        ids.setdefault(service_type, []).append(registration_id)
    return ids
