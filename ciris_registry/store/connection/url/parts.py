"""The parts of a store URL: what each may be, and the error for what it is not.

No error contains a part of the URL, since any part of a malformed one may be a password.
"""

from __future__ import annotations

import os
import re
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus

from ciris_registry.errors import InvalidURLError
from ciris_registry.store.connection.routing import Address

if TYPE_CHECKING:
    from collections.abc import Mapping

ENCODE: Final = "a password that contains any of @ : / ? # % must be percent-encoded"
_LONGEST_SOCKET_PATH: Final = 103 if sys.platform == "darwin" else 107
"""sockaddr_un holds 104 or 108 bytes, and the last one is a NUL."""

_HIGHEST_PORT: Final = 65_535
_HIGHEST_DB: Final = 2**31 - 1
_HOST_NAME: Final = re.compile(r"[\w.-]{1,253}")
_MASTER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_PARTS: Final = re.compile(
    r"(?:(?P<userinfo>[^/?#]*)@)?(?P<address>[^/?#@]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?"
)
_ADDRESS: Final = re.compile(r"(?s:(?:\[(?P<ipv6>[^]]*)\]|(?P<name>[^:[]*))(?::(?P<port>.*))?)")
COMMON: Final = frozenset({"db", "username", "password"})
TLS: Final[Mapping[str, tuple[str, ...] | None]] = {
    "ssl_ca_certs": None,
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_certfile": None,
    "ssl_check_hostname": ("true", "false"),
    "ssl_keyfile": None,
}
"""Query parameters of the forms with TLS, named as in redis-py, with the values each may have."""


def split(rest: str) -> tuple[str, ...]:
    """User and password, host and port, path, and query; missing ones are empty."""
    parts = _PARTS.fullmatch(rest)
    if parts is None:
        raise InvalidURLError(f"the URL contains a #; {ENCODE}")
    return parts.groups("")


def address_of(text: str, default_port: int) -> Address:
    """A host, with a port or without."""
    parts = _ADDRESS.fullmatch(text)
    ipv6, name, digits = parts.groups("") if parts is not None else ("", "[", "")
    if not ipv6 and not name:
        raise InvalidURLError(f"the URL names no host: redis://host:port/db; {ENCODE}")
    if not (_is_ipv6(ipv6) if ipv6 else _HOST_NAME.fullmatch(name)):
        raise InvalidURLError(f"the host in the URL is not a name or an address; {ENCODE}")
    port = _number(digits or str(default_port), _HIGHEST_PORT)
    if not port:
        raise InvalidURLError(f"the port in the URL is not a number from 1 to 65535; {ENCODE}")
    return Address(ipv6 or name, port)


def addresses_of(text: str, default_port: int) -> tuple[Address, ...]:
    """``host:port,host:port``, each once."""
    return tuple(dict.fromkeys(address_of(one, default_port) for one in text.split(",")))


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


def database(path: str, parameters: Mapping[str, str]) -> int:
    """The db number, from the path or from ``?db=``."""
    given = path.removeprefix("/")
    if given and "db" in parameters:
        raise InvalidURLError("the URL gives the db number twice, in its path and as ?db=")
    number = _number(parameters.get("db", given or "0"), _HIGHEST_DB)
    if number is None:
        raise InvalidURLError(
            f"the db number in the URL is not a whole number: redis://host:port/db; {ENCODE}"
        )
    return number


def master_name(text: str) -> str:
    """The name by which sentinels know a master."""
    if not _MASTER_NAME.fullmatch(text):
        raise InvalidURLError(
            "the URL names no master: redis+sentinel://host:26379,host:26379/NAME/db, with the "
            "name that is in the configuration of the sentinels (letters, digits and . _ -)"
        )
    return text


def absolute_path(text: str) -> Path:
    """An absolute path, percent-encoded."""
    path = unquote(text, errors="surrogateescape")
    if not path.startswith("/") or not path.strip("/"):
        raise InvalidURLError("the URL names no absolute path; it has three slashes: unix:///path")
    if not path.isprintable():
        raise InvalidURLError("the path in the URL contains a control character or is not UTF-8")
    return Path(path)


def check_socket_path(path: Path) -> None:
    """Raise InvalidURLError if the system has no room for ``path`` as the name of a socket."""
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET_PATH:
        raise InvalidURLError(
            f"the path of the socket has {length} bytes and the system allows "
            f"{_LONGEST_SOCKET_PATH}; choose a shorter directory"
        )


def parameters_of(query: str, allowed: frozenset[str]) -> dict[str, str]:
    """The query parameters, each of them known and given once."""
    parameters: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in allowed and name in TLS:
            raise InvalidURLError(
                f"the query parameter {name} needs a URL that begins with rediss:// (or "
                f"rediss+sentinel://, rediss+cluster://)"
            )
        if name not in allowed or name in parameters:
            raise InvalidURLError(
                f"the URL has a query parameter twice, or an unknown one; known are "
                f"{', '.join(sorted(allowed))}; {ENCODE}, & too"
            )
        parameters[name] = unquote_plus(value)
    return parameters


def credentials(userinfo: str, parameters: Mapping[str, str]) -> tuple[str | None, str | None]:
    """User and password, from before the @ or from the query."""
    username, _, password = userinfo.partition(":")
    return (
        unquote(username) or parameters.get("username") or None,
        unquote(password) or parameters.get("password") or None,
    )


def tls_options(parameters: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The options of TLS, in alphabetical order."""
    given = {name: value for name, value in sorted(parameters.items()) if name in TLS}
    for name, value in given.items():
        choices = TLS[name]
        if choices is not None and value not in choices:
            raise InvalidURLError(f"{name} in the URL is none of {', '.join(choices)}")
    return tuple(given.items())
