"""The URL of the store: its grammar, and what may be shown of it.

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
import sys
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote, unquote, unquote_plus, urlencode

from ciris_registry.errors import InvalidURLError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Scheme = Literal["memory", "embedded", "redis", "rediss", "unix"]

EMBEDDED_SOCKET: Final = "valkey.sock"
"""The file name of an embedded server's socket, inside its directory."""

_SCHEMES: Final = (
    "memory:// or memory://name, embedded:// or embedded:///directory, redis://host:port/db, "
    "rediss://host:port/db, unix:///path/to/socket?db=0"
)
_ENCODE: Final = "a password that contains any of @ : / ? # % must be percent-encoded"
_NOT_YET: Final = ("redis+cluster", "redis+sentinel")
_LONGEST_SOCKET_PATH: Final = 103 if sys.platform == "darwin" else 107
"""sockaddr_un holds 104 or 108 bytes, and the last one is a NUL."""

_DEFAULT_PORT: Final = 6379
_HIGHEST_PORT: Final = 65_535
_HIGHEST_DB: Final = 2**31 - 1
_MEMORY_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{0,200}")
_HOST_NAME: Final = re.compile(r"[\w.-]{1,253}")
_PARTS: Final = re.compile(
    r"(?:(?P<userinfo>[^/?#]*)@)?(?P<address>[^/?#@]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?"
)
_ADDRESS: Final = re.compile(r"(?s:(?:\[(?P<ipv6>[^]]*)\]|(?P<name>[^:[]*))(?::(?P<port>.*))?)")
_COMMON: Final = frozenset({"db", "username", "password"})
_TLS: Final[Mapping[str, tuple[str, ...] | None]] = {
    "ssl_ca_certs": None,
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_certfile": None,
    "ssl_check_hostname": ("true", "false"),
    "ssl_keyfile": None,
}
"""Query parameters of ``rediss://``, named as in redis-py, with the values that each may have."""


@dataclass(frozen=True, slots=True, repr=False)
class StoreURL:
    """The parsed URL of the store.

    Only the fields that belong to ``scheme`` are set. ``repr`` and ``str`` show ``redacted``, so a
    URL may be logged; ``username`` and ``password`` are for the client that connects.
    """

    scheme: Scheme
    name: str = ""
    path: Path | None = None
    host: str = ""
    port: int = _DEFAULT_PORT
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str) -> StoreURL:
        """Read ``url``; the error for an unknown scheme lists the forms.

        Raises:
            InvalidURLError: the URL has none of these forms. The message contains no part of it.
        """
        scheme, separator, rest = url.strip().partition("://")
        scheme = scheme.lower()
        if not separator:
            problem = "has no scheme" if url.strip() else "is empty"
            raise InvalidURLError(f"the URL of the shared state {problem}; it is one of {_SCHEMES}")
        if scheme in _NOT_YET:
            raise InvalidURLError(
                f"{scheme}:// is not supported yet; name one server with redis:// or rediss://"
            )
        read = _READERS.get(scheme)
        if read is None:
            raise InvalidURLError(f"the scheme of the URL is not known; it is one of {_SCHEMES}")
        return read(rest)

    @property
    def redacted(self) -> str:
        """The URL, complete and in its plainest form, with ``***`` for user and password."""
        credentials = ""
        if self.username is not None or self.password is not None:
            credentials = "***@" if self.password is None else "***:***@"
        match self.scheme:
            case "memory":
                return f"memory://{self.name}"
            case "embedded":
                return f"embedded://{_shown(self.path)}"
            case "unix":
                return f"unix://{credentials}{_shown(self.path)}?db={self.db}"
            case _:
                host = f"[{self.host}]" if ":" in self.host else self.host
                query = f"?{urlencode(self.tls, safe='/')}" if self.tls else ""
                return f"{self.scheme}://{credentials}{host}:{self.port}/{self.db}{query}"

    def __repr__(self) -> str:
        return f"StoreURL({self.redacted!r})"

    def __str__(self) -> str:
        return self.redacted


def check_socket_path(path: Path) -> None:
    """Raise InvalidURLError if the system has no room for ``path`` as the name of a socket."""
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET_PATH:
        raise InvalidURLError(
            f"the path of the socket has {length} bytes and the system allows "
            f"{_LONGEST_SOCKET_PATH}; choose a shorter directory"
        )


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
    userinfo, address, path, query = _split(rest)
    if userinfo or address or query:
        raise InvalidURLError(
            "embedded:// takes an absolute directory and nothing else: embedded:///directory, "
            "with three slashes"
        )
    directory = _path(path)
    check_socket_path(directory / EMBEDDED_SOCKET)
    return StoreURL("embedded", path=directory)


def _unix(rest: str) -> StoreURL:
    userinfo, address, path, query = _split(rest)
    if address or "@" in path:
        raise InvalidURLError(
            f"unix:// takes the absolute path of a socket: unix:///path/to/socket, with three "
            f"slashes and any @ in it as %40; {_ENCODE}"
        )
    socket = _path(path)
    check_socket_path(socket)
    parameters = _parameters(query, _COMMON)
    username, password = _credentials(userinfo, parameters)
    db = _db(parameters.get("db", "0"))
    return StoreURL("unix", path=socket, db=db, username=username, password=password)


def _network(scheme: Literal["redis", "rediss"], rest: str) -> StoreURL:
    userinfo, address, path, query = _split(rest)
    host, port = _address(address)
    parameters = _parameters(query, _COMMON | _TLS.keys() if scheme == "rediss" else _COMMON)
    db = path.removeprefix("/")
    if db and "db" in parameters:
        raise InvalidURLError("the URL gives the db number twice, in its path and as ?db=")
    db = parameters.get("db", db or "0")
    username, password = _credentials(userinfo, parameters)
    return StoreURL(
        scheme,
        host=host,
        port=port,
        db=_db(db),
        username=username,
        password=password,
        tls=_tls(parameters),
    )


def _split(rest: str) -> tuple[str, ...]:
    """User and password, host and port, path, and query; missing ones are empty."""
    parts = _PARTS.fullmatch(rest)
    if parts is None:
        raise InvalidURLError(f"the URL contains a #; {_ENCODE}")
    return parts.groups("")


def _address(address: str) -> tuple[str, int]:
    parts = _ADDRESS.fullmatch(address)
    ipv6, name, digits = parts.groups("") if parts is not None else ("", "[", "")
    if not ipv6 and not name:
        raise InvalidURLError(f"the URL names no host: redis://host:port/db; {_ENCODE}")
    if not (_is_ipv6(ipv6) if ipv6 else _HOST_NAME.fullmatch(name)):
        raise InvalidURLError(f"the host in the URL is not a name or an address; {_ENCODE}")
    port = _number(digits or str(_DEFAULT_PORT), _HIGHEST_PORT)
    if not port:
        raise InvalidURLError(f"the port in the URL is not a number from 1 to 65535; {_ENCODE}")
    return ipv6 or name, port


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _number(text: str, highest: int) -> int | None:
    """Decimal ``text`` as a number from 0 to ``highest``, else None."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest))):
        return None
    number = int(text)
    return number if number <= highest else None


def _db(text: str) -> int:
    number = _number(text, _HIGHEST_DB)
    if number is None:
        raise InvalidURLError(
            f"the db number in the URL is not a whole number: redis://host:port/db; {_ENCODE}"
        )
    return number


def _path(text: str) -> Path:
    path = unquote(text, errors="surrogateescape")
    if not path.startswith("/") or not path.strip("/"):
        raise InvalidURLError("the URL names no absolute path; it has three slashes: unix:///path")
    if not path.isprintable():
        raise InvalidURLError("the path in the URL contains a control character or is not UTF-8")
    return Path(path)


def _parameters(query: str, allowed: frozenset[str]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in allowed and name in _TLS:
            raise InvalidURLError(
                f"the query parameter {name} needs a URL that begins with rediss://"
            )
        if name not in allowed or name in parameters:
            raise InvalidURLError(
                f"the URL has a query parameter twice, or an unknown one; known are "
                f"{', '.join(sorted(allowed))}; {_ENCODE}, & too"
            )
        parameters[name] = unquote_plus(value)
    return parameters


def _credentials(userinfo: str, parameters: dict[str, str]) -> tuple[str | None, str | None]:
    username, _, password = userinfo.partition(":")
    return (
        unquote(username) or parameters.get("username") or None,
        unquote(password) or parameters.get("password") or None,
    )


def _tls(parameters: dict[str, str]) -> tuple[tuple[str, str], ...]:
    given = {name: value for name, value in sorted(parameters.items()) if name in _TLS}
    for name, value in given.items():
        choices = _TLS[name]
        if choices is not None and value not in choices:
            raise InvalidURLError(f"{name} in the URL is none of {', '.join(choices)}")
    return tuple(given.items())


def _shown(path: Path | None) -> str:
    return "" if path is None else quote(os.fsencode(path))


_READERS: Final[Mapping[str, Callable[[str], StoreURL]]] = {
    "memory": _memory,
    "embedded": _embedded,
    "redis": partial(_network, "redis"),
    "rediss": partial(_network, "rediss"),
    "unix": _unix,
}
