"""Clients of the servers behind a store URL.

Owns the server object of ``memory://``, the lease on an embedded server, and the options of every
connection. A route opens no connection by itself: ``open_connection`` does, and the transport sends
commands and retries.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ciris_registry.store.connection.client_internals import drop_dead_waiters, without_driver_info
from ciris_registry.store.connection.embedded import EmbeddedServer
from ciris_registry.store.connection.routing import (
    Address,
    Cluster,
    DirectRoute,
    NamedConnection,
    NamedSSLConnection,
    Names,
    Sentinels,
)
from ciris_registry.store.connection.url import login_of

if TYPE_CHECKING:
    from fakeredis import FakeServer

    from ciris_registry.store.connection.routing import Route
    from ciris_registry.store.connection.url import StoreURL

CONNECT_TIMEOUT: Final = 3.0
"""Seconds to open a connection, in the background. TLS takes three round trips; redis-py would wait
three times as long for a host that drops packets."""

MOST_CONNECTIONS: Final = 2**31
"""The pool has no limit of its own."""

_named: dict[str, FakeServer] = {}
"""The servers of ``memory://name``: their data lives as long as the process."""


class Clients:
    """Makes routes to the servers of one URL, and clients of them, for the life of one registry.

    A connection belongs to the event loop that opens it, so a registry that is used from several
    loops in turn asks for a route in each. The data of ``memory://`` belongs to this object and
    outlives the connections; two objects for ``memory://`` share nothing.
    """

    def __init__(self, url: StoreURL) -> None:
        self.url: Final = url
        self._memory: FakeServer | None = None
        self._embedded: EmbeddedServer | None = None
        self._cluster: Cluster | None = None
        self._sentinels: Sentinels | None = None
        self._names = Names()
        if url.scheme == "embedded":
            self._embedded = EmbeddedServer(url.path)
        elif url.master:
            self._sentinels = Sentinels(
                url.nodes, url.master, self._connection_to_sentinel, self._connection_to
            )
        elif url.nodes:
            self._cluster = Cluster(url.nodes, self._connection_to)

    def route(self, key: str) -> Route:
        """The way to the server that has ``key``, and all keys with its hash tag.

        An embedded server must run: call ``revive`` before.
        """
        if self._cluster is not None:
            return self._cluster.route(key)
        if self._sentinels is not None:
            return self._sentinels
        if self.url.host:
            server = Address(self.url.host, self.url.port)
            return DirectRoute(lambda: self._connection_to(server))
        pool: Any = self._client().connection_pool
        return DirectRoute(lambda: without_driver_info(pool.make_connection()))

    async def client(self) -> Redis:
        """A new client of redis-py for the running event loop; the caller closes it.

        Opens no connection, but an embedded server runs when this returns (0.1 to 0.3 s if it had
        to be started).

        Raises:
            EmbeddedServerError: an embedded server cannot be started or reached.
        """
        await self.revive()
        return self._client()

    async def revive(self) -> None:
        """Start an embedded server again if it is gone; for every other URL do nothing.

        Call it before an attempt to reach a server that was lost. Existing clients reach the new
        server, since it has the old one's socket.

        Raises:
            EmbeddedServerError: the server cannot be started or reached.
        """
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.acquire)

    def release(self) -> None:
        """Give up an embedded server, which ends with its last user; takes a millisecond or less.

        The data of ``memory://`` stays, and ``client`` may be called again.
        """
        if self._embedded is not None:
            self._embedded.release()

    def _connection_to(self, address: Address) -> Any:  # redis-py's connection
        url = self.url
        return self._connection(address, {**login_of(url.username, url.password), "db": url.db})

    def _connection_to_sentinel(self, address: Address) -> Any:
        url = self.url
        return self._connection(address, login_of(url.sentinel_username, url.sentinel_password))

    def _connection(self, address: Address, login: dict[str, Any]) -> Any:
        options: dict[str, Any] = {**address._asdict(), **login, **_tls(self.url), **_options()}
        del options["max_connections"]  # a pool's
        kind = NamedSSLConnection if self.url.secure else NamedConnection
        return without_driver_info(kind(names=self._names, **options))

    def _client(self) -> Redis:
        if self.url.scheme == "memory":
            return _memory_client(self._memory_server())
        return Redis(**_address(self.url, self._embedded), **_options())

    def _memory_server(self) -> FakeServer:
        if self._memory is None:
            # Programs that use a real server need not load fakeredis and a Lua interpreter.
            from fakeredis import FakeServer  # noqa: PLC0415

            name = self.url.name
            self._memory = _named.setdefault(name, FakeServer()) if name else FakeServer()
        drop_dead_waiters(self._memory)
        return self._memory

    def __repr__(self) -> str:
        return f"Clients({self.url.redacted!r})"


def _memory_client(server: FakeServer) -> Redis:
    from fakeredis.aioredis import FakeRedis  # noqa: PLC0415 # as in _memory_server

    client = FakeRedis(server=server, **_options())
    # fakeredis makes the pool and passes it in, so redis-py would not close it with the client.
    client.auto_close_connection_pool = True
    return client


def _options() -> dict[str, Any]:
    return {
        "decode_responses": True,
        # A field that was damaged by hand must be readable to be reported.
        "encoding_errors": "backslashreplace",
        "health_check_interval": 0,
        # Beyond it redis-py would refuse a connection; this package opens few.
        "max_connections": MOST_CONNECTIONS,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_TIMEOUT,
        # A pipelined connection has one timeout for all its commands: a tenth of redis-py's cost.
        "socket_timeout": None,
    }


def _address(url: StoreURL, embedded: EmbeddedServer | None) -> dict[str, Any]:
    if embedded is not None:
        return {"unix_socket_path": str(embedded.socket_path)}
    login = {**login_of(url.username, url.password), "db": url.db}
    if url.scheme == "unix":
        return {"unix_socket_path": str(url.path), **login}
    tls = {"ssl": True, **_tls(url)} if url.secure else {}
    return {"host": url.host, "port": url.port, **login, **tls}


def _tls(url: StoreURL) -> dict[str, Any]:
    """The options of TLS; none without it."""
    if not url.secure:
        return {}
    tls: dict[str, Any] = dict(url.tls)
    # redis-py's default differs between its releases; the name in a certificate is checked unless
    # the URL says otherwise.
    checked = "false" if tls.get("ssl_cert_reqs") == "none" else "true"
    tls["ssl_check_hostname"] = tls.get("ssl_check_hostname", checked) == "true"
    return tls
