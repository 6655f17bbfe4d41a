"""What a registry connects to: the server behind a url, and clients of it.

Owns the server object of ``memory://``, the lease on an embedded server, and the options of every
client. It refuses to send commands and to retry: the transport does both.
"""

from __future__ import annotations

import asyncio
from inspect import getclosurevars
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ciris_registry.store.connection.embedded import EmbeddedServer

if TYPE_CHECKING:
    from fakeredis import FakeServer

    from ciris_registry.store.connection.url import StoreURL

CONNECT_TIMEOUT: Final = 1.0
"""Seconds to open a connection. TLS across a continent takes about 0.3; redis-py would wait ten
times as long for a host that swallows packets."""

MOST_CONNECTIONS: Final = 2**31
"""No bound of the pool's own."""

CLIENT_NAME: Final = "ciris-registry"
"""What CLIENT LIST of a real server shows."""

_named: dict[str, FakeServer] = {}
"""The servers of ``memory://name``: what they hold lives as long as the process."""


class Clients:
    """The server at one url, for the life of one registry.

    A client belongs to the event loop that first uses it, so a registry that is used from several
    loops in turn asks for one in each, and closes it there. What ``memory://`` holds belongs to
    the backend and so outlives them; two backends of ``memory://`` share nothing.
    """

    def __init__(self, url: StoreURL) -> None:
        self.url: Final = url
        self._memory: FakeServer | None = None
        self._embedded: EmbeddedServer | None = None
        if url.scheme == "embedded":
            self._embedded = EmbeddedServer(url.path)

    async def client(self) -> Redis:
        """A new client for the running event loop; the caller closes it.

        Opens no connection, but an embedded server runs when this returns (0.1 to 0.3 s if it had
        to be started).

        Raises:
            EmbeddedUnavailableError: an embedded server cannot be started or reached.
        """
        await self.revive()
        if self.url.scheme == "memory":
            return _memory_client(self._memory_server())
        address = _address(self.url, self._embedded)
        return Redis(**address, **_options(), client_name=CLIENT_NAME)

    async def revive(self) -> None:
        """Start an embedded server anew if it is gone; for every other url do nothing.

        To be called before trying again to reach a server that was away. Clients that exist
        already reach the new server, since it has the old one's socket.

        Raises:
            EmbeddedUnavailableError: the server cannot be started or reached.
        """
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.acquire)

    def release(self) -> None:
        """Give up an embedded server, which ends with its last user; takes a millisecond or less.

        What ``memory://`` holds stays, and ``client`` may be called again.
        """
        if self._embedded is not None:
            self._embedded.release()

    def _memory_server(self) -> FakeServer:
        if self._memory is None:
            # Programs that use a real server need not load an imitation and a Lua interpreter.
            from fakeredis import FakeServer  # noqa: PLC0415

            name = self.url.name
            self._memory = _named.setdefault(name, FakeServer()) if name else FakeServer()
        _forget_dead_waiters(self._memory)
        return self._memory

    def __repr__(self) -> str:
        return f"Backend({self.url.redacted!r})"


def _memory_client(server: FakeServer) -> Redis:
    from fakeredis.aioredis import FakeRedis  # noqa: PLC0415 # as in _memory_server

    client = FakeRedis(server=server, **_options())
    # fakeredis makes the pool and hands it in, so redis-py thinks that somebody else owns it.
    client.auto_close_connection_pool = True
    return client


def _forget_dead_waiters(server: FakeServer) -> None:
    """Take away who waited in an event loop that has ended: waking them would fail every write.

    fakeredis forgets them itself, but for one whose loop ended before its task had begun.
    """
    for database in server.dbs.values():
        waiters: set[Any] = getattr(database, "_change_callbacks", set())
        for waiter in list(waiters):
            loop = getclosurevars(waiter).nonlocals.get("loop")
            if loop is not None and loop.is_closed():
                waiters.discard(waiter)


def _options() -> dict[str, Any]:
    return {
        "decode_responses": True,
        # A field that someone damaged by hand must be readable to be reported.
        "encoding_errors": "backslashreplace",
        "health_check_interval": 0,
        # redis-py would refuse the one that finds this many in use; nothing here uses many.
        "max_connections": MOST_CONNECTIONS,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_TIMEOUT,
        # A wire is watched as a whole, which costs a tenth of redis-py's way.
        "socket_timeout": None,
    }


def _address(url: StoreURL, embedded: EmbeddedServer | None) -> dict[str, Any]:
    if embedded is not None:
        return {"unix_socket_path": str(embedded.socket_path)}
    login = {"username": url.username, "password": url.password, "db": url.db}
    if url.scheme == "unix":
        return {"unix_socket_path": str(url.path), **login}
    tls: dict[str, Any] = dict(url.tls)
    if url.scheme == "rediss":
        # redis-py's default has changed between its versions; a certificate is checked by name
        # unless the URL says otherwise.
        checked = "false" if tls.get("ssl_cert_reqs") == "none" else "true"
        tls["ssl_check_hostname"] = tls.get("ssl_check_hostname", checked) == "true"
        tls["ssl"] = True
    return {"host": url.host, "port": url.port, **login, **tls}
