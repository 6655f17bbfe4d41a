"""Many calls on one connection: each gets its own reply, also when the connection breaks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ciris_registry.store.connection import pipelined
from ciris_registry.store.connection.pipelined import WaitInterruptedError
from ciris_registry.store.connection.reconnecting import ReconnectingConnection
from ciris_registry.store.connection.routing import DirectRoute
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def packed(word: str) -> bytes:
    return f"*2\r\n$4\r\nECHO\r\n${len(word)}\r\n{word}\r\n".encode()


class Echo:
    """A server that answers ECHO, or is silent, or answers ``instead``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.silent = asyncio.Event()
        self.instead = b""
        self.opened = 0
        self.heard: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.accepts = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while count := await reader.readline():
                words = []
                for _ in range(int(count[1:])):
                    await reader.readline()
                    words.append((await reader.readline()).strip().decode())
                if words[0] != "ECHO":
                    writer.write(b"+OK\r\n" if self.accepts else b"-NOPERM denied\r\n")
                    continue
                self.heard.append(words[1])
                if not self.silent.is_set():
                    writer.write(self.instead or f"+{words[1]}\r\n".encode())
        writer.close()

    async def hang_up(self) -> None:
        """Close every connection."""
        for writer in self.writers:
            writer.close()
        self.writers.clear()


@pytest.fixture
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Echo]:
    served = Echo(str(tmp_path_factory.mktemp("s") / "socket"))
    async with await asyncio.start_unix_server(served.serve, served.path):
        yield served
        await served.hang_up()
        await asyncio.sleep(0)


@pytest.fixture
async def connection(echo: Echo) -> AsyncIterator[ReconnectingConnection]:
    once = Retry(NoBackoff(), 0)
    async with Redis(unix_socket_path=echo.path, protocol=2, client_name="a", retry=once) as client:
        made = ReconnectingConnection(DirectRoute(client.connection_pool.make_connection))
        yield made
        await made.aclose()


def asked(connection: ReconnectingConnection, word: str) -> asyncio.Task[Any]:
    return asyncio.create_task(connection.ask(packed(word)))


async def test_a_thousand_calls_at_once_get_their_own_replies_over_one_connection(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    words = [str(number) for number in range(1000)]
    assert await asyncio.gather(*(connection.ask(packed(word)) for word in words)) == words
    assert echo.opened == 1


async def test_the_reply_of_a_cancelled_call_is_dropped(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    await connection.ask(packed("first"))
    gone, stays = asked(connection, "gone"), asked(connection, "stays")
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "stays"
    assert await connection.ask(packed("next")) == "next"
    assert gone.cancelled()
    assert echo.opened == 1, "the server went on answering"


async def test_a_cancelled_call_costs_no_connection(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    """Across a network, opening another one takes many times as long as a reply."""
    await connection.ask(packed("first"))
    for _ in range(20):
        gone, stays = asked(connection, "gone"), asked(connection, "stays")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert await connection.ask(packed("next")) == "next"
        assert await stays == "stays"
    assert echo.opened == 1


async def test_a_silent_connection_can_be_renewed(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    echo.silent.set()
    gone, stays = asked(connection, "gone"), asked(connection, "stays")
    await async_wait_until(lambda: len(echo.heard) == 2)
    gone.cancel()
    connection.renew()
    echo.silent.clear()
    assert await connection.ask(packed("next")) == "next"
    assert echo.opened == 2
    echo.writers[0].write(b"+gone\r\n+stays\r\n")
    assert await stays == "stays", "it may still be answered"
    assert await connection.ask(packed("and so on")) == "and so on"
    await async_wait_until(echo.writers[0].is_closing)


async def test_a_connection_that_answers_can_be_renewed(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    """After a failover, one host name leads to another server; the old one refuses."""
    for turn in range(3):
        assert await connection.ask(packed("next")) == "next"
        assert echo.opened == turn + 1
        connection.renew()
    await async_wait_until(lambda: all(one.is_closing() for one in echo.writers))


async def test_a_renewed_connection_without_waiting_calls_is_closed_at_once(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    for _ in range(20):
        echo.silent.set()
        gone = asked(connection, "gone")
        await async_wait_until(lambda: len(echo.heard) % 2 == 1)
        gone.cancel()
        await asyncio.sleep(0)
        connection.renew()
        echo.silent.clear()
        assert await connection.ask(packed("next")) == "next"
    await async_wait_until(lambda: sum(not one.is_closing() for one in echo.writers) == 1)
    assert len(connection._retired) <= 1


async def test_closing_does_not_wait_for_a_server_that_hangs(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    await connection.ask(packed("first"))
    echo.silent.set()
    asking = asked(connection, "x" * 5_000_000)  # more than fits into the socket
    echo.writers[0].transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(0.01)
    async with asyncio.timeout(1):
        await connection.aclose()
        with pytest.raises(RedisConnectionError):
            await asking
    with pytest.raises(RedisConnectionError, match="has closed the connection"):
        await connection.ask(packed("stale"))
    assert echo.opened == 1


async def test_a_broken_connection_fails_the_calls_that_wait_and_the_next_call_opens_another(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    echo.silent.set()
    waiting = [asked(connection, "lost") for _ in range(3)]
    await async_wait_until(lambda: len(echo.heard) == 3)
    await echo.hang_up()
    for one in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(one, RedisConnectionError)
    echo.silent.clear()
    assert await connection.ask(packed("next")) == "next"


async def test_a_connection_that_is_silent_for_too_long_is_closed(
    connection: ReconnectingConnection, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelined, "REPLY_TIMEOUT", 0.2)
    await connection.ask(packed("first"))
    await asyncio.sleep(0.25)
    assert await connection.ask(packed("after a pause")) == "after a pause"
    echo.silent.set()
    with pytest.raises(RedisTimeoutError, match=r"no answer within 0\.2 s"):
        await connection.ask(packed("lost"))
    echo.silent.clear()
    assert await connection.ask(packed("next")) == "next"
    assert echo.opened == 2


async def test_a_call_may_wait_long_while_the_server_answers_others(
    connection: ReconnectingConnection, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelined, "REPLY_TIMEOUT", 0.2)
    await connection.ask(packed("first"))
    echo.silent.set()
    slow = [asked(connection, str(number)) for number in range(8)]
    await async_wait_until(lambda: len(echo.heard) == 9)
    for number in range(8):
        await asyncio.sleep(0.05)
        echo.writers[0].write(f"+{number}\r\n".encode())
    assert await asyncio.gather(*slow) == [str(number) for number in range(8)]


async def test_an_error_is_raised_in_its_call_only(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    echo.instead = b"-WRONGTYPE not a hash\r\n"
    with pytest.raises(ResponseError, match="WRONGTYPE not a hash"):
        await connection.ask(packed("wrong"))
    echo.instead = b""
    assert await connection.ask(packed("next")) == "next"
    assert echo.opened == 1


async def test_data_of_another_protocol_breaks_the_connection_only(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    echo.instead = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with pytest.raises(RedisError):
        await connection.ask(packed("lost"))
    echo.instead = b""
    assert await connection.ask(packed("next")) == "next"
    assert echo.opened == 2


async def test_a_reply_in_pieces_is_one_reply(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    await connection.ask(packed("first"))
    echo.silent.set()
    asking = asked(connection, "long")
    await async_wait_until(lambda: "long" in echo.heard)
    for piece in (b"*2\r\n$3\r\na", b"bc\r", b"\n$2\r\nde\r\n"):
        echo.writers[0].write(piece)
        await asyncio.sleep(0.01)
    assert await asking == ["abc", "de"]


async def test_an_interrupted_wait_ends_and_later_calls_work(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    await connection.ask(packed("first"))
    echo.silent.set()
    asking = asked(connection, "waits")
    await async_wait_until(lambda: "waits" in echo.heard)
    connection.interrupt()
    with pytest.raises(WaitInterruptedError):
        await asking
    echo.silent.clear()
    assert await connection.ask(packed("next")) == "next"


async def test_an_interruption_without_a_wait_breaks_nothing(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    await connection.ask(packed("first"))
    connection.interrupt()
    assert await connection.ask(packed("next")) == "next"
    assert echo.opened == 1


async def test_an_interruption_while_it_connects_is_not_lost(
    connection: ReconnectingConnection,
) -> None:
    asking = asked(connection, "waits")
    await asyncio.sleep(0)
    connection.interrupt()
    with pytest.raises(WaitInterruptedError):
        await asking


async def test_calls_that_wait_for_a_connection_share_one_failure(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    echo.accepts = False
    asking = [asked(connection, "lost") for _ in range(50)]
    errors = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(one, RedisError) for one in errors)
    assert echo.opened == 1
    echo.accepts = True
    assert await connection.ask(packed("next")) == "next"


async def test_the_call_that_connects_may_be_cancelled(connection: ReconnectingConnection) -> None:
    first, other = asked(connection, "first"), asked(connection, "other")
    await asyncio.sleep(0)
    first.cancel()
    assert await other == "other"


async def test_closing_during_a_connect_leaves_nothing_open(
    connection: ReconnectingConnection, echo: Echo
) -> None:
    asking = asked(connection, "stale")
    await asyncio.sleep(0)
    await connection.aclose()
    with pytest.raises(RedisConnectionError):
        await asking
    await async_wait_until(lambda: all(one.is_closing() for one in echo.writers))
