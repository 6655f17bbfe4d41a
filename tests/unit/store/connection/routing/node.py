"""A node of a cluster that says what a test wants, on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ciris_registry.store.connection.routing import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    Replies = Callable[[list[str]], str | None]

HOST = "127.0.0.1"


class Node:
    """Answers each command with ``reply(words)``, a line of the protocol; None is no reply.

    What redis-py sends when it connects gets ``+OK``. ``heard`` are the other commands, and
    ``reads`` the commands that came together.
    """

    def __init__(self, reply: Replies) -> None:
        self.reply = reply
        self.heard: list[list[str]] = []
        self.reads: list[list[str]] = []
        self.opened = 0
        self.address = Address(HOST, 0)
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.address = Address(HOST, self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)

    def count(self, word: str) -> int:
        """How many commands of this name were heard."""
        return sum(words[0] == word for words in self.heard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(2**20):
                commands = _commands(data)
                self.reads.append([words[0] for words in commands])
                for words in commands:
                    writer.write(self._answer(words))
        writer.close()

    def _answer(self, words: list[str]) -> bytes:
        if words[0] in {"CLIENT", "AUTH", "SELECT"}:
            return b"+OK\r\n"
        self.heard.append(words)
        said = "+OK" if words[0] == "ASKING" else self.reply(words)
        return b"" if said is None else f"{said}\r\n".encode()


def _commands(data: bytes) -> list[list[str]]:
    """The commands in what one read has got; tests send short ones."""
    lines = iter(data.decode().split("\r\n"))
    return [
        [(next(lines), next(lines))[1] for _ in range(int(line[1:]))]
        for line in lines
        if line.startswith("*")
    ]


def connection_to(address: Address) -> Connection:
    """A connection of redis-py, as the clients make it."""
    once = Retry(NoBackoff(), 0)
    return Connection(
        host=address.host, port=address.port, protocol=2, retry=once, decode_responses=True
    )


def slots_reply(slot: int, master: Address, epoch: int, identity: str = "") -> list[str]:
    """What a node says to CLUSTER SLOTS and CLUSTER NODES that knows one range of slots."""
    identity = identity or str(master.port).rjust(40, "0")
    slots = (
        f"*1\r\n*3\r\n:{slot}\r\n:{slot}\r\n*3\r\n${len(master.host)}\r\n{master.host}\r\n"
        f":{master.port}\r\n$40\r\n{identity}"
    )
    line = f"{identity} {master}@1 myself,master - 0 0 {epoch} connected {slot}"
    return [slots, f"${len(line)}\r\n{line}"]
