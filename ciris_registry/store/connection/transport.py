"""Sending scripts and commands to Redis, and handling their failures.

Owns NOSCRIPT, retries, and the translation of redis-py's errors into this package's. What a
script means is not known here.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import InvalidResponse, NoScriptError, RedisError

from ciris_registry.errors import (
    CommandRefusedError,
    CorruptStateError,
    IndeterminateWriteError,
    StoreError,
    StoreUnavailableError,
)
from ciris_registry.store.connection.connectivity import Refusals, RoundTrip
from ciris_registry.store.connection.error_replies import is_damage, is_denied_ping, understood
from ciris_registry.store.connection.momentary import repeat_while_momentary
from ciris_registry.store.connection.pipelined import PipelinedConnection, pack, pack_script
from ciris_registry.store.connection.reconnecting import ReconnectingConnection
from ciris_registry.store.connection.retry import (
    UNREACHABLE,
    limited,
    never_sent,
    persistently,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ciris_registry.store.connection.routing import Route


class Transport:
    """The transport of one partition, which belongs to one event loop.

    A call that finds Redis away is retried for ``write_timeout`` seconds. ``on_failure`` is called
    with the error of a call that failed in the end, ``on_reply`` after each reply. A script that
    the server has forgotten is sent again in full. A script that a cluster cannot run for a moment
    is sent again for most of the time that a resolve waits, which goes by the ``round_trip``. A
    connection needs ``files``, of which an error names one that is absent.
    """

    def __init__(
        self,
        route: Route,
        url: str,
        write_timeout: float,
        revive: Callable[[], Awaitable[None]],
        on_failure: Callable[[object], None] = lambda _: None,
        on_reply: Callable[[], None] = lambda: None,
        refusals: Refusals | None = None,
        round_trip: RoundTrip | None = None,
        files: Sequence[str] = (),
    ) -> None:
        self._route = route
        self.in_order = not route.redirects
        """Whether commands of one write are carried out in their order."""
        self._connections: weakref.WeakSet[ReconnectingConnection] = weakref.WeakSet()
        self._connection = self.connection()
        self._url = url
        self._write_timeout = write_timeout
        self._revive = revive
        self._on_failure = on_failure
        self._on_reply = on_reply
        self._refusals = refusals or Refusals()
        self._refused = self._refusals.by_command
        self._round_trip = round_trip
        self._files = files
        self._closed = False

    async def evaluate(
        self,
        sha: str,
        text: str,
        numkeys: int,
        values: list[str | int],
        *,
        repeatable: bool = True,
        posted: asyncio.Future[Any] | None = None,
    ) -> list[Any]:
        """Run the Lua script ``text``, whose SHA-1 is ``sha``; its reply.

        A call that is not ``repeatable`` is sent a second time only if Redis cannot have received
        the first, which is already on its way if it was ``posted``.

        Raises:
            IndeterminateWriteError: The connection broke while such a call was in flight.
            StoreUnavailableError: Redis is away.
            StoreError: Redis refuses.
        """
        packed = pack_script(("EVALSHA", sha, numkeys), values)
        reply: list[Any]
        out = [] if posted is None else [posted]
        try:
            reply = await self.attempt(
                lambda: out.pop() if out else self._ask(packed), script=text, repeatable=repeatable
            )
        except NoScriptError:
            in_full = pack_script(("EVAL", text, numkeys), values)
            reply = await self.attempt(
                lambda: self._ask(in_full), script=text, repeatable=repeatable
            )
        if type(reply) is not list:
            raise self._explained(InvalidResponse(f"{reply!r:.80} is no script's reply"))
        return reply

    @property
    def ready(self) -> bool:
        """Whether a command is sent as soon as it is given."""
        connection = self._connection.open
        return isinstance(connection, PipelinedConnection) and not connection.broken

    def post(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a command at once, if ``ready``; an error that is its reply is for ``evaluate``."""
        return cast("PipelinedConnection", self._connection.open).ask(packed)

    def note_answer(self, script: str) -> None:
        """What was posted was answered well: the script of this text has run."""
        self._on_reply()
        if self._refused:
            self._refusals.passed(_name_of(script))

    def _ask(self, packed: bytes) -> Awaitable[Any]:
        connection = self._connection.open
        if connection is None or connection.broken:
            return self._connection.ask(packed)
        return connection.ask(packed)

    async def wait(
        self, connection: ReconnectingConnection, command: tuple[str | int, ...]
    ) -> Any:  # any reply
        """Send a command that blocks on the server, on a connection that no other call uses."""
        packed = pack(command)
        # Its reply does not show that the connection of the scripts works.
        return await self.attempt(
            lambda: connection.ask(packed), command=str(command[0]), note_reply=False
        )

    async def ping(self, limit: float) -> None:
        """Have the server answer within ``limit`` seconds, on the connection of the scripts."""
        packed = pack(("PING",))

        async def ask() -> None:
            try:
                await limited(self._connection.ask(packed), limit)
            except RedisError as error:
                if not is_denied_ping(error):
                    raise

        await self.attempt(ask, command="PING")

    @property
    def is_open(self) -> bool:
        """Whether the connection of the scripts is open."""
        return self._connection.open is not None

    def renew(self) -> None:
        """Open a new connection: the current one, or the server behind it, may be dead."""
        self._connection.renew()

    async def end_silent(self, seconds: float) -> None:
        """Close earlier connections whose last replies stay away for so many seconds."""
        await self._connection.end_silent(seconds)

    async def ask(self, *command: str | int) -> Any:  # any reply
        """Send one plain command, on the connection of the scripts."""
        packed = pack(command)
        return await self.attempt(lambda: self._ask(packed), command=str(command[0]))

    async def ask_each(
        self, commands: Iterable[tuple[str | int, ...]], *, whole: str = ""
    ) -> list[Any]:
        """Send plain commands in one write; their replies, of which an error of Redis is one.

        Where all are parts of a ``whole``, that has this name, only a damaged key is such a reply.

        Raises:
            StoreError: Redis is away, or has refused a part of a whole.
        """
        packed = [pack(one) for one in commands]

        async def all_of_them() -> list[Any]:
            replies = await self._connection.ask_each(packed)
            for one in replies:
                if isinstance(one, UNREACHABLE if not whole else Exception) and not is_damage(one):
                    raise one
            return replies

        replies: list[Any] = await self.attempt(all_of_them, command=whole)
        return replies

    async def attempt(
        self,
        call: Callable[[], Awaitable[Any]],
        *,
        command: str = "",
        script: str = "",
        repeatable: bool = True,
        note_reply: bool = True,
    ) -> Any:  # any reply
        """Make one call, which ``command`` names, or ``script`` is the text of what it runs.

        Only if it fails, what a retry needs is set up.
        """
        self._check_open()
        measured, sample = self._round_trip, None
        if measured is not None and time.monotonic() >= measured.next_at:
            sample = measured.begin() if note_reply and self.is_open else None
        try:
            reply = await call()
        except NoScriptError:
            raise
        except UNREACHABLE as error:
            self._check_open()  # not an outage
            reply = await self._persist(call, error, repeatable=repeatable)
        except RedisError as error:
            reply = await self._ask_again(call, error, command, script)
        if note_reply:
            self._on_reply()
        if sample is not None:
            sample.end()
        if self._refused:
            self._refusals.passed(command or _name_of(script))
        return reply

    async def _ask_again(
        self, call: Callable[[], Awaitable[Any]], error: Exception, command: str, script: str
    ) -> Any:
        """Repeat a call that a cluster could not serve for a moment; raise any other error."""
        wait = self._write_timeout if self._round_trip is None else self._round_trip.wait
        try:
            return await repeat_while_momentary(call, error, wait)
        except NoScriptError:
            raise
        except (RedisError, OSError) as newer:
            error = newer
        found = self._explained(error, command or _name_of(script), script)
        if isinstance(found, StoreUnavailableError):
            self._refusals.note(found)
        if not isinstance(found, CommandRefusedError | CorruptStateError):  # may be one write only
            self._on_failure(found)
        raise found from None

    async def _persist(
        self, call: Callable[[], Awaitable[Any]], failure: Exception, *, repeatable: bool
    ) -> Any:
        async def once() -> Any:  # tenacity awaits only coroutine functions
            return await call()

        try:
            if self._write_timeout > 0:
                await self._revive()
            return await persistently(
                once, write_timeout=self._write_timeout, repeatable=repeatable, after=failure
            )
        except NoScriptError:
            raise
        except (RedisError, OSError) as error:
            explained = self._explained(error)
            self._on_failure(explained)
            if isinstance(error, UNREACHABLE) and not repeatable and not never_sent(error):
                raise IndeterminateWriteError(self._url, explained.problem) from None
            raise explained from None

    def connection(self) -> ReconnectingConnection:
        """A connection for one caller, which is closed with the transport at the latest."""
        connection = ReconnectingConnection(self._route)
        self._connections.add(connection)
        return connection

    async def aclose(self) -> None:
        """Close the connections."""
        self._closed = True
        for connection in list(self._connections):
            await connection.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError(self._url, "this process has closed the connection")

    def _explained(self, error: Exception, command: str = "", script: str = "") -> StoreError:
        return understood(error, self._url, command=command, script=script, files=self._files)


def _name_of(script: str) -> str:
    """The name of a script, which its text begins with."""
    return script.partition(":")[0].removeprefix("-- ")
