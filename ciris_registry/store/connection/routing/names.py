"""Host names: looked up in threads of this package's own, and kept while connections last.

``loop.getaddrinfo`` uses the default executor of the program, which a name server that does not
answer would fill.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.client_internals import transport_of
from ciris_registry.store.connection.own_thread import OwnThreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST: Final = 1.0
"""Seconds for one lookup."""

_threads: Final = OwnThreads()


class Names:
    """The addresses of the hosts of one URL.

    A name is looked up again when none of the connections to it is open any more: it may lead to
    another server by then.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._open: dict[str, weakref.WeakSet[Any]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """The IP addresses of ``host``, in the order of the system's preference.

        Raises:
            redis.exceptions.ConnectionError: The name is not known, or the lookup takes too long.
        """
        if _is_address(host):
            return (host,)
        if host not in self._known or not any(map(_is_open, self._open.get(host, ()))):
            try:
                async with asyncio.timeout(_LONGEST):
                    self._known[host] = await _threads.run(host, lambda: _lookup(host))
            except TimeoutError:
                raise RedisConnectionError(
                    f"the lookup of the name {host} took longer than {_LONGEST:g} s"
                ) from None
            except OSError as error:
                raise RedisConnectionError(f"the name {host} is not known: {error}") from error
        return self._known[host]

    def note(self, host: str, connection: Any) -> None:
        """A connection of redis-py to a host has been opened."""
        self._open.setdefault(host, weakref.WeakSet()).add(connection)


class _Named:
    """Connects to one address of a host after the other, until one accepts."""

    def __init__(self, *, names: Names, **options: Any) -> None:
        super().__init__(**options)
        self._names = names
        self._address = ""

    async def _connect(self) -> None:
        this: Any = self
        *others, last = await self._names.addresses(this.host)
        connect: Any = super()
        for self._address in others:
            with contextlib.suppress(OSError):
                await connect._connect()  # noqa: SLF001 # redis-py's own way to extend it
                break
        else:
            self._address = last
            await connect._connect()  # noqa: SLF001 # as above
        self._names.note(this.host, self)

    def _connection_arguments(self) -> Mapping[str, Any]:
        inherited: Any = super()
        arguments = dict(inherited._connection_arguments())  # noqa: SLF001 # as above
        if "ssl" in arguments:
            arguments["server_hostname"] = arguments["host"]  # what the certificate must name
        arguments["host"] = self._address
        return arguments


class NamedConnection(_Named, Connection):
    """redis-py's connection, without its lookups."""


class NamedSSLConnection(_Named, SSLConnection):
    """As above, with TLS."""


def _is_open(connection: Any) -> bool:
    transport = transport_of(connection)
    return transport is not None and not transport.is_closing()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _lookup(host: str) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
