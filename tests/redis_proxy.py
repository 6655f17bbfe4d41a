"""A proxy between registries and a real server, which refuses commands or delays all of them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Self

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Words = list[bytes]


class RedisProxy:
    """Listens on a port of its own while its ``async with`` block runs.

    ``refuses`` answers a command with an error line in place of the server, or returns None.
    ``delay`` is how many seconds each direction takes; ``commands`` counts what was forwarded.
    """

    def __init__(self, socket: str | Path) -> None:
        self.refuses: Callable[[Words], str | None] = lambda _words: None
        self.delay = 0.0
        self.commands = 0
        self.hung: set[asyncio.Task[None] | None] = set()
        self._socket = str(socket)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def refuse_all(self, line: str) -> None:
        """Answer every command with this error."""
        self.refuses = lambda _words: line

    def hang(self) -> None:
        """Forward nothing any more on the connections that are open; new ones work."""
        self.hung.update(self._open)

    def accept_all(self) -> None:
        """Forward every command."""
        self.refuses = lambda _words: None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for _turn in range(5):  # one may be on its way in; sockets close in the turns after
            for task in list(self._open):
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        ends = [writer]
        try:
            # A task that ends cancelled would be an error in asyncio's own callback.
            with contextlib.suppress(asyncio.CancelledError, OSError):
                server, back = await asyncio.open_unix_connection(self._socket)
                ends.append(back)
                await _Connection(self, reader, writer, server, back).forward()
        finally:
            for end in ends:
                end.transport.abort()


class _Connection:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self,
        proxy: RedisProxy,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client, self._to_client = client, to_client
        self._server, self._to_server = server, to_server
        self._task = asyncio.current_task()
        self._unanswered = 0
        self._all_answered = asyncio.Event()

    async def forward(self) -> None:
        """Forward commands and replies until either side closes."""
        ways = [
            asyncio.ensure_future(self._commands()),
            asyncio.ensure_future(self._replies()),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _commands(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                words = await _words(self._client)
                refusal = self._proxy.refuses(words)
                if refusal is None:
                    self._proxy.commands += 1
                    self._unanswered += 1
                    self._later(self._to_server, _packed(words))
                    continue
                while self._unanswered:  # replies come in the order of the commands
                    self._all_answered.clear()
                    await self._all_answered.wait()
                self._later(self._to_client, f"-{refusal}\r\n".encode())

    async def _replies(self) -> None:
        replies = hiredis.Reader(notEnoughData=self, replyError=Exception)
        with contextlib.suppress(OSError):
            while data := await self._server.read(2**16):
                self._later(self._to_client, data)
                replies.feed(data)
                while replies.gets() is not self:
                    self._unanswered -= 1
                self._all_answered.set()

    def _later(self, where: asyncio.StreamWriter, data: bytes) -> None:
        if self._task in self._proxy.hung:
            return
        if self._proxy.delay:
            asyncio.get_running_loop().call_later(self._proxy.delay, where.write, data)
        else:
            where.write(data)


async def _words(reader: asyncio.StreamReader) -> Words:
    count = await reader.readuntil(b"\r\n")
    found = []
    for _ in range(int(count[1:])):
        size = int((await reader.readuntil(b"\r\n"))[1:])
        found.append((await reader.readexactly(size + 2))[:-2])
    return found


def _packed(words: Words) -> bytes:
    pack: Any = hiredis.pack_command  # its own type is a tuple of one
    return bytes(pack(tuple(words)))
