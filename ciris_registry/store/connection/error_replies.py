"""What each error reply of Redis means for the registry, and what to do about it: one table.

The first row that matches decides. A reply that no row knows refuses the command only. Does not
retry, and does not log.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)

from ciris_registry.errors import (
    AccessDeniedError,
    CommandRefusedError,
    CorruptStateError,
    StoreError,
    StoreUnavailableError,
)
from ciris_registry.store.connection.retry import UNREACHABLE, ConnectingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Refuses(Enum):
    """What an error reply refuses."""

    ALL = "the server, or what stands in its place: it counts as away"
    FOR_A_MOMENT = "a slot that is on its way: the call asks again, then it counts as away"
    ACCESS = "a password, a right or a database: it counts as away until an operator mends it"
    A_KEY = "one key, which another program wrote"
    THE_COMMAND = "this command, as far as the registry knows"


class _Row(NamedTuple):
    pattern: re.Pattern[str]
    refuses: Refuses
    advice: str = ""


def _code(codes: str, refuses: Refuses, advice: str = "") -> _Row:
    """A row for replies with one of these codes.

    Redis 6.2 puts a text of its own before the error of a command in a script.
    """
    return _Row(re.compile(rf"(?:^|: -)(?:{codes})(?: |$)"), refuses, advice)


def _text(pattern: str, refuses: Refuses, advice: str = "") -> _Row:
    return _Row(re.compile(pattern, re.IGNORECASE), refuses, advice)


_ONE_NODE: Final = "this is one node of a cluster: use redis+cluster://"
_NO_SCRIPTS: Final = "the server must run Lua scripts: Redis 6.2, Valkey 7.2 or later"

_SPEAKS_TLS: Final = "this port speaks TLS: use rediss://"
_NO_TLS: Final = "this port does not speak TLS: use redis://"
_MAY_SPEAK_TLS: Final = "if this port speaks TLS, use rediss://"
_MAY_NOT_SPEAK_TLS: Final = "if this port does not speak TLS, use redis://"
_OTHER_NAME: Final = (
    "the server's certificate is for another name: use one of its names, or "
    "?ssl_check_hostname=false"
)
_CLIENT_CERTIFICATE: Final = (
    "if the server wants a client certificate, give ?ssl_certfile= and ?ssl_keyfile="
)

_TABLE: Final = (
    # Of a cluster
    _code("MOVED|ASK|CROSSSLOT", Refuses.ALL, _ONE_NODE),
    _code("TRYAGAIN", Refuses.FOR_A_MOMENT, "a slot of the cluster is on its way to another node"),
    _code("CLUSTERDOWN", Refuses.FOR_A_MOMENT, "the cluster serves no node for this slot"),
    _text("SELECT is not allowed in cluster mode", Refuses.ALL, f"{_ONE_NODE}, without a database"),
    # Of a server that refuses for a while
    _code("LOADING", Refuses.ALL, "the server loads its data"),
    _code("BUSY", Refuses.ALL, "a script of some program runs too long: see SCRIPT KILL"),
    _code("UNKILLABLE", Refuses.ALL, "a script that has written runs too long"),
    _code("MISCONF", Refuses.ALL, "the server cannot save its data: see its log"),
    _code("OOM", Refuses.ALL, "the server's memory is full: raise its maxmemory"),
    _code("READONLY", Refuses.ALL, "this is a replica: use its master, or redis+sentinel://"),
    _code("MASTERDOWN", Refuses.ALL, "this is a replica that has lost its master"),
    _code("NOREPLICAS", Refuses.ALL, "fewer replicas follow than min-replicas-to-write"),
    _code("UNBLOCKED", Refuses.ALL),
    _text("max number of clients", Refuses.ALL, "raise the server's maxclients"),
    # Of access
    _code("NOAUTH", Refuses.ACCESS, "give a user and a password in the URL"),
    _code("WRONGPASS", Refuses.ACCESS, "the user or the password in the URL is wrong"),
    _code("NOPERM", Refuses.ACCESS),
    _text(r"invalid password|without any password|no password is set", Refuses.ACCESS),
    _text(r"DB index is out of range", Refuses.ACCESS, "the server has no such database"),
    _text(r"ACL failure in script|the user executing the script can't", Refuses.ACCESS),
    # Of a proxy
    _text("no upstream host|upstream (?:failure|connect)", Refuses.ALL, "the proxy has no server"),
    _text(r"max (?:daily )?requests? limit", Refuses.ALL, "the provider's quota is used up"),
    # Of a server that has no scripts, or of something that is no Redis
    _text(r"unknown command '?`?(?:EVAL|EVALSHA)\b", Refuses.ALL, _NO_SCRIPTS),
    _text("unknown (?:redis |valkey )?command", Refuses.ALL, _NO_SCRIPTS),
    _text(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE", Refuses.ALL, _NO_TLS),
    _text(r'got "\\x15"', Refuses.ALL, _SPEAKS_TLS),
    _text('got "[H<]"', Refuses.ALL, "this port speaks HTTP, not the protocol of Redis"),
    _text("Protocol error", Refuses.ALL, "this port does not speak the protocol of Redis"),
    _text("is not valid for|doesn't match|mismatch, cert", Refuses.ALL, _OTHER_NAME),
    _text("certificate has expired", Refuses.ALL, "renew the server's certificate"),
    _text("NO_CERTIFICATE_OR_CRL", Refuses.ALL, "the file of ?ssl_ca_certs= has no certificate"),
    _text("ALERT_CERTIFICATE_REQUIRED", Refuses.ALL, _CLIENT_CERTIFICATE),
    _text("CERTIFICATE_VERIFY_FAILED", Refuses.ALL, "name the CA's file with ?ssl_ca_certs="),
    # Of one key
    _Row(re.compile("WRONGTYPE"), Refuses.A_KEY),
)

_RIGHTS: Final = re.compile(r"permissions? to run the ((?:'[^']+' )+)command")
_NO_KEYS: Final = re.compile(r"access (?:a|one of the|at least one of the|the '[^']*') keys?")
_ENDED: Final = re.compile("Connection closed by server|reset by peer|Connection lost")
_LINE: Final = re.compile(r"user_script:(\d+)")
_CALLED: Final = re.compile(r"redis\.p?call\(\s*[\"'](\w+)[\"']")

_CODES: Final[dict[type[BaseException], str]] = {
    AskError: "ASK",
    BusyLoadingError: "LOADING",
    ClusterCrossSlotError: "CROSSSLOT",
    ClusterDownError: "CLUSTERDOWN",
    MovedError: "MOVED",
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    TryAgainError: "TRYAGAIN",
}
"""The codes that redis-py before 7 removes from the text without keeping them."""

_ACCESS: Final = (AuthenticationError, AuthorizationError)


def understood(
    error: BaseException,
    url: str,
    *,
    command: str = "",
    script: str = "",
    files: Sequence[str] = (),
) -> StoreError:
    """The registry's error for one of redis-py's.

    ``command`` names what was sent, ``script`` is the text of a script that was, and ``files`` are
    those that the connection needs.
    """
    causes = list(_causes(error))
    lines = [_line_of(one) for one in causes]
    text = lines[0] or type(error).__name__
    row = next((row for row in _TABLE for line in lines if row.pattern.search(line)), None)
    refuses = row.refuses if row is not None else None
    if refuses is None and any(isinstance(one, _ACCESS) for one in causes):
        refuses = Refuses.ACCESS
    if refuses is None and isinstance(error, (*UNREACHABLE, InvalidResponse)):
        refuses = Refuses.ALL
    advice = (
        row.advice
        if row is not None
        else _missing_file(causes, files) or _while_connecting(error, lines, url)
    )
    if advice in {_SPEAKS_TLS, _NO_TLS, _MAY_SPEAK_TLS, _MAY_NOT_SPEAK_TLS}:
        advice = _of_scheme(advice, url)
    if refuses is Refuses.ACCESS:
        advice = _right(lines, script) or advice
    elif "+cluster" in url and advice.startswith(_ONE_NODE):
        advice = ""
    problem = f"{text}; {advice}" if advice else text
    match refuses:
        case Refuses.ACCESS:
            found: StoreError = AccessDeniedError(url, problem)
        case Refuses.A_KEY:
            found = CorruptStateError(url, problem)
        case Refuses.ALL | Refuses.FOR_A_MOMENT:
            found = StoreUnavailableError(url, problem)
        case _:
            found = CommandRefusedError(url, problem)
    if not isinstance(error, UNREACHABLE):
        found.command = command
    return found


def is_momentary(error: BaseException) -> bool:
    """Whether the same command may be answered within milliseconds; it has not been carried out."""
    line = _line_of(error)
    return any(row.refuses is Refuses.FOR_A_MOMENT and row.pattern.search(line) for row in _TABLE)


def is_damage(error: BaseException) -> bool:
    """Whether one key is of another type."""
    return "WRONGTYPE" in _line_of(error)


def is_denied_ping(error: BaseException) -> bool:
    """Whether only the right to PING is missing: the server has answered."""
    return "'ping'" in _line_of(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # While it connects, redis-py wraps every error in a ConnectionError, some without a cause.
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _line_of(error: BaseException) -> str:
    """The reply as the server sent it: redis-py removes the code from some."""
    text = str(error)
    code = str(getattr(error, "status_code", None) or _CODES.get(type(error), ""))
    return f"{code} {text}" if code and not text.startswith(code) else text


def _right(lines: list[str], script: str) -> str:
    """The missing right by its name, as far as the server or the script says it."""
    for line in lines:
        named, at = _RIGHTS.search(line), _LINE.search(line)
        if named is not None:
            return _advice(*re.findall(r"'([^']+)'", named[1]))
        if _NO_KEYS.search(line):
            return "the user may not use the registry's keys: give it ~ciris:v2:*"
        if at is not None and script:
            # Redis before 7.2 names only the line.
            text = script.splitlines()[int(at[1]) - 1 : int(at[1])]
            called = _CALLED.search(text[0]) if text else None
            return _advice(called[1].lower()) if called else f"the script's line {at[1]} is denied"
    return ""


def _advice(*rights: str) -> str:
    missing = ", ".join(f"+{one}" for one in rights)
    what = f"the right {missing} is" if len(rights) == 1 else f"the rights {missing} are"
    return f"{what} missing: see ACL SETUSER"


def _while_connecting(error: BaseException, lines: list[str], url: str) -> str:
    """What a connection that ends before the server has answered may be about."""
    secure = url.startswith("rediss")
    if not isinstance(error, ConnectingError):
        return ""
    if secure and "no answer" in lines[0]:
        return _MAY_NOT_SPEAK_TLS
    if not any(_ENDED.search(line) for line in lines):
        return ""
    return _CLIENT_CERTIFICATE if secure else _MAY_SPEAK_TLS if url.startswith("redis") else ""


def no_answer(seconds: float, url: str, *, opened: bool) -> str:
    """The problem of a server that has not answered for so many seconds.

    A plain Redis takes the handshake of TLS for the beginning of a command, and waits for its end;
    ``opened`` says that a connection has got past that.
    """
    advice = f"; {_MAY_NOT_SPEAK_TLS}" if url.startswith("rediss") and not opened else ""
    return f"no answer within {seconds:g} s{_of_scheme(advice, url)}"


def _of_scheme(advice: str, url: str) -> str:
    """The advice with the scheme of sentinels or a cluster, where the URL has one of these."""
    kind = re.match(r"rediss?(\+\w+)://", url)
    return advice if kind is None else re.sub(r"use (rediss?)://", rf"use \1{kind[1]}://", advice)


def _missing_file(causes: list[BaseException], files: Sequence[str]) -> str:
    if not any(isinstance(one, FileNotFoundError) for one in causes):
        return ""
    absent = next((one for one in files if not Path(one).exists()), "")
    return f"there is no file {absent}" if absent else ""
