"""The URL of the store: its forms, and what may be shown of it.

A URL is shown as the parts that were understood, with ``***`` for user and password; errors contain
no part of it, since in ``redis://user:12/3@host`` no parser can tell where the password ends.
Connecting is the work of ``clients``.

``redis.connection.parse_url`` is too lenient to be used. It reads ``redis://user:12/3@host`` as the
host ``user`` and ``redis://p@ss/w@host`` as the host ``ss``, ignores fragments, line breaks and a
database number that is none, keeps unknown query parameters, and quotes the URL in its errors.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote, urlencode

from ciris_registry.errors import InvalidURLError
from ciris_registry.store.connection.routing import Address
from ciris_registry.store.connection.url.credentials import check_password
from ciris_registry.store.connection.url.parts import (
    COMMON,
    ENCODE,
    TLS,
    absolute_path,
    address_of,
    addresses_of,
    check_socket_path,
    credentials,
    database,
    master_name,
    parameters_of,
    split,
    tls_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ciris_registry.store.connection.url.credentials import Password

_Server = Literal["redis", "rediss"]
_Sentinel = Literal["redis+sentinel", "rediss+sentinel"]
_Cluster = Literal["redis+cluster", "rediss+cluster"]
Scheme = Literal["memory", "embedded", "unix"] | _Server | _Sentinel | _Cluster

EMBEDDED_SOCKET: Final = "valkey.sock"
"""The file name of an embedded server's socket, inside its directory."""

DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379

_SCHEMES: Final = (
    "memory:// or memory://name, embedded:// or embedded:///directory, redis://host:port/db, "
    "rediss://host:port/db, unix:///path/to/socket?db=0, "
    "redis+sentinel://host:port,host:port/NAME/db, redis+cluster://host:port,host:port, and "
    "rediss+sentinel:// and rediss+cluster:// with TLS"
)
_MEMORY_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{0,200}")
_OF_SENTINELS: Final = frozenset({"sentinel_username", "sentinel_password"})


@dataclass(frozen=True, slots=True, repr=False)
class StoreURL:
    """The parsed URL of the store.

    Only the fields that belong to ``scheme`` are set. ``nodes`` are the sentinels, or nodes of the
    cluster; ``master`` is what the sentinels call the master. ``repr`` and ``str`` show
    ``redacted``, so a URL may be logged; user names and passwords are for the client that connects.
    """

    scheme: Scheme
    name: str = ""
    path: Path | None = None
    host: str = ""
    port: int = DEFAULT_PORT
    db: int = 0
    username: str | None = None
    password: Password | None = None
    tls: tuple[tuple[str, str], ...] = ()
    nodes: tuple[Address, ...] = ()
    master: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = None

    @classmethod
    def parse(cls, url: str, password: Password | None = None) -> StoreURL:
        """Read ``url``; the error for an unknown scheme lists the forms.

        ``password`` is one that is not in the URL; ``memory://`` and ``embedded://`` need none.

        Raises:
            InvalidURLError: the URL has none of these forms. The message contains no part of it.
            RegistrationError: the password is invalid, or the URL has one, too.
        """
        scheme, separator, rest = url.strip().partition("://")
        scheme = scheme.lower()
        if not separator:
            problem = "has no scheme" if url.strip() else "is empty"
            raise InvalidURLError(f"the URL of the shared state {problem}; it is one of {_SCHEMES}")
        read = _READERS.get(scheme)
        if read is None:
            raise InvalidURLError(f"the scheme of the URL is not known; it is one of {_SCHEMES}")
        found = read(rest)
        if password is None:
            return found
        check_password(password, found.username, has_own=found.password is not None)
        return replace(found, password=password)

    @property
    def secure(self) -> bool:
        """Whether its connections use TLS."""
        return self.scheme.startswith("rediss")

    @property
    def names_user(self) -> bool:
        """Whether its connections may have the rights of a user that is not the default one."""
        asked = self.password is not None and not isinstance(self.password, str)
        return asked or self.username is not None

    @property
    def fails_over(self) -> bool:
        """Whether another server may take the place of the one that is in use."""
        return bool(self.nodes)

    @property
    def redacted(self) -> str:
        """The URL, complete and in its plainest form, with ``***`` for user and password."""
        secret = ""
        if self.username is not None or self.password is not None:
            secret = "***@" if self.password is None else "***:***@"
        query = f"?{urlencode(self.tls, safe='/')}" if self.tls else ""
        nodes = ",".join(map(str, self.nodes))
        match self.scheme:
            case "memory":
                return f"memory://{self.name}"
            case "embedded":
                return f"embedded://{_shown(self.path)}"
            case "unix":
                return f"unix://{secret}{_shown(self.path)}?db={self.db}"
            case "redis" | "rediss":
                server = Address(self.host, self.port)
                return f"{self.scheme}://{secret}{server}/{self.db}{query}"
            case "redis+sentinel" | "rediss+sentinel":
                return f"{self.scheme}://{secret}{nodes}/{self.master}/{self.db}{query}"
            case _:
                return f"{self.scheme}://{secret}{nodes}{query}"

    def __repr__(self) -> str:
        return f"StoreURL({self.redacted!r})"

    def __str__(self) -> str:
        return self.redacted


def _memory(rest: str) -> StoreURL:
    if not _MEMORY_NAME.fullmatch(rest):
        raise InvalidURLError(
            "the name in memory://name may have up to 200 letters, digits and _ . - "
            "and nothing may follow it"
        )
    return StoreURL("memory", name=rest)


def _embedded(rest: str) -> StoreURL:
    if not rest:
        return StoreURL("embedded")
    userinfo, address, path, query = split(rest)
    if userinfo or address or query:
        raise InvalidURLError(
            "embedded:// takes an absolute directory and nothing else: embedded:///directory, "
            "with three slashes"
        )
    directory = absolute_path(path)
    check_socket_path(directory / EMBEDDED_SOCKET)
    return StoreURL("embedded", path=directory)


def _unix(rest: str) -> StoreURL:
    userinfo, address, path, query = split(rest)
    if address or "@" in path:
        raise InvalidURLError(
            f"unix:// takes the absolute path of a socket: unix:///path/to/socket, with three "
            f"slashes and any @ in it as %40; {ENCODE}"
        )
    socket = absolute_path(path)
    check_socket_path(socket)
    parameters = parameters_of(query, COMMON)
    username, password = credentials(userinfo, parameters)
    db = database("", parameters)
    return StoreURL("unix", path=socket, db=db, username=username, password=password)


def _server(scheme: _Server, rest: str) -> StoreURL:
    userinfo, address, path, query = split(rest)
    host, port = address_of(address, DEFAULT_PORT)
    parameters = parameters_of(query, COMMON | TLS.keys() if scheme == "rediss" else COMMON)
    username, password = credentials(userinfo, parameters)
    return StoreURL(
        scheme,
        host=host,
        port=port,
        db=database(path, parameters),
        username=username,
        password=password,
        tls=tls_options(parameters),
    )


def _sentinel(scheme: _Sentinel, rest: str) -> StoreURL:
    userinfo, address, path, query = split(rest)
    known = COMMON | _OF_SENTINELS
    parameters = parameters_of(query, known | TLS.keys() if scheme[5] == "s" else known)
    master, slash, db = path.removeprefix("/").partition("/")
    username, password = credentials(userinfo, parameters)
    return StoreURL(
        scheme,
        nodes=addresses_of(address, SENTINEL_PORT),
        master=master_name(master),
        db=database(slash + db, parameters),
        username=username,
        password=password,
        tls=tls_options(parameters),
        sentinel_username=parameters.get("sentinel_username") or None,
        sentinel_password=parameters.get("sentinel_password") or None,
    )


def _cluster(scheme: _Cluster, rest: str) -> StoreURL:
    userinfo, address, path, query = split(rest)
    parameters = parameters_of(query, COMMON | TLS.keys() if scheme[5] == "s" else COMMON)
    username, password = credentials(userinfo, parameters)
    if database(path, parameters):
        raise InvalidURLError(
            "a cluster has no database but 0: separate fleets by their namespaces, and leave the "
            f"db number out of the URL; {ENCODE}"
        )
    return StoreURL(
        scheme,
        nodes=addresses_of(address, DEFAULT_PORT),
        username=username,
        password=password,
        tls=tls_options(parameters),
    )


def _shown(path: Path | None) -> str:
    return "" if path is None else quote(os.fsencode(path))


_READERS: Final[Mapping[str, Callable[[str], StoreURL]]] = {
    "memory": _memory,
    "embedded": _embedded,
    "unix": _unix,
    "redis": partial(_server, "redis"),
    "rediss": partial(_server, "rediss"),
    "redis+sentinel": partial(_sentinel, "redis+sentinel"),
    "rediss+sentinel": partial(_sentinel, "rediss+sentinel"),
    "redis+cluster": partial(_cluster, "redis+cluster"),
    "rediss+cluster": partial(_cluster, "rediss+cluster"),
}
