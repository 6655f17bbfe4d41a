"""The private names of redis-py and fakeredis that this package reads, and nothing else.

Each is read in one function, and a test holds that the installed release has it.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from inspect import getclosurevars
from typing import TYPE_CHECKING, Any, cast

from ciris_registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakeredis import FakeServer


class ClientInternalsError(RegistryError):
    """The installed redis-py lacks a private name that is read here; install an earlier release."""

    def __init__(self, owner: object, name: str) -> None:
        super().__init__(
            f"redis-py {version('redis')} has no {type(owner).__name__}.{name}, which "
            "ciris_registry needs; install an earlier release of redis-py"
        )


def transport_of(connection: Any) -> asyncio.Transport | None:
    """The asyncio transport of a connected redis-py connection; None for one of fakeredis.

    ``_writer`` is a StreamWriter in redis-py; no public name tells the two kinds apart.
    """
    writer = _read(connection, "_writer")
    if not isinstance(writer, asyncio.StreamWriter):
        return None
    return cast("asyncio.Transport", writer.transport)


def error_parser(connection: Any) -> Callable[[str], Exception]:
    """What makes redis-py's exception from the text of an error reply."""
    parse_error: Callable[[str], Exception] = _read(_read(connection, "_parser"), "parse_error")
    return parse_error


def without_driver_info(connection: Any) -> Any:
    """The same connection of redis-py, which does not send CLIENT SETINFO when it opens.

    A fleet opens thousands of connections, and two commands more for each of them tell the server
    nothing that it needs. redis-py before 7.2 has the names ``lib_name`` and ``lib_version``.
    """
    for name in ("driver_info", "lib_name", "lib_version"):
        if getattr(connection, name, None) is not None:
            setattr(connection, name, None)
    return connection


def drop_dead_waiters(server: FakeServer) -> None:
    """Remove blocked reads of event loops that have ended: waking one would fail every write.

    fakeredis removes them itself, except those whose loop ended before their task had begun.
    Without this private name, only such a program fails.
    """
    for database in server.dbs.values():
        waiters: set[Any] = getattr(database, "_change_callbacks", set())
        for waiter in list(waiters):
            loop = getclosurevars(waiter).nonlocals.get("loop")
            if loop is not None and loop.is_closed():
                waiters.discard(waiter)


def _read(owner: object, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise ClientInternalsError(owner, name) from None
