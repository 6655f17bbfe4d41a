"""Many calls on one connection: whose reply is whose, and what becomes of it when it breaks."""

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

from ciris_registry.store.connection import pipelined as connection
from ciris_registry.store.connection.pipelined import WaitInterruptedError
from ciris_registry.store.connection.reconnecting import ReconnectingConnection
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def packed(word: str) -> bytes:
    return f"*2\r\n$4\r\nECHO\r\n${len(word)}\r\n{word}\r\n".encode()


class Echo:
    """A server that answers ECHO, unless it is told to be silent, or to answer something else."""

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
                    writer.write(b"+OK\r\n" if self.accepts else b"-NOPERM not you\r\n")
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
async def line(echo: Echo) -> AsyncIterator[ReconnectingConnection]:
    once = Retry(NoBackoff(), 0)
    async with Redis(unix_socket_path=echo.path, protocol=2, client_name="a", retry=once) as client:
        made = ReconnectingConnection(client.connection_pool)
        yield made
        await made.aclose()


def asked(line: ReconnectingConnection, word: str) -> asyncio.Task[Any]:
    return asyncio.create_task(line.ask(packed(word)))


async def test_a_thousand_calls_at_once_get_their_own_replies_over_one_connection(
    line: ReconnectingConnection, echo: Echo
) -> None:
    words = [str(number) for number in range(1000)]
    assert await asyncio.gather(*(line.ask(packed(word)) for word in words)) == words
    assert echo.opened == 1


async def test_the_reply_of_one_who_was_cancelled_is_nobody_elses(
    line: ReconnectingConnection, echo: Echo
) -> None:
    await line.ask(packed("first"))
    gone, stays = asked(line, "gone"), asked(line, "stays")
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "stays"
    assert await line.ask(packed("next")) == "next"
    assert gone.cancelled()
    assert echo.opened == 1, "the server went on answering"


async def test_whoever_is_cancelled_costs_nobody_a_connection(
    line: ReconnectingConnection, echo: Echo
) -> None:
    """To open another one takes many times as long as the reply, across a network."""
    await line.ask(packed("first"))
    for _ in range(20):
        gone, stays = asked(line, "gone"), asked(line, "stays")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert await line.ask(packed("next")) == "next"
        assert await stays == "stays"
    assert echo.opened == 1


async def test_a_new_connection_may_be_asked_for_while_the_old_one_is_silent(
    line: ReconnectingConnection, echo: Echo
) -> None:
    echo.silent.set()
    gone, stays = asked(line, "gone"), asked(line, "stays")
    await async_wait_until(lambda: len(echo.heard) == 2)
    gone.cancel()
    line.renew()
    echo.silent.clear()
    assert await line.ask(packed("next")) == "next"
    assert echo.opened == 2
    echo.writers[0].write(b"+gone\r\n+stays\r\n")
    assert await stays == "stays", "it may still be answered"
    assert await line.ask(packed("and so on")) == "and so on"
    await async_wait_until(echo.writers[0].is_closing)


async def test_a_new_connection_may_be_asked_for_though_the_old_one_answers(
    line: ReconnectingConnection, echo: Echo
) -> None:
    """Behind one name there is another server after a failover; the old one refuses."""
    for turn in range(3):
        assert await line.ask(packed("next")) == "next"
        assert echo.opened == turn + 1
        line.renew()
    await async_wait_until(lambda: all(one.is_closing() for one in echo.writers))


async def test_one_that_nobody_waits_on_any_more_is_closed_at_once(
    line: ReconnectingConnection, echo: Echo
) -> None:
    for _ in range(20):
        echo.silent.set()
        gone = asked(line, "gone")
        await async_wait_until(lambda: len(echo.heard) % 2 == 1)
        gone.cancel()
        await asyncio.sleep(0)
        line.renew()
        echo.silent.clear()
        assert await line.ask(packed("next")) == "next"
    await async_wait_until(lambda: sum(not one.is_closing() for one in echo.writers) == 1)
    assert len(line._retired) <= 1


async def test_closing_waits_for_no_server_that_hangs(
    line: ReconnectingConnection, echo: Echo
) -> None:
    await line.ask(packed("first"))
    echo.silent.set()
    asking = asked(line, "x" * 5_000_000)  # more than fits into the socket
    echo.writers[0].transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(0.01)
    async with asyncio.timeout(1):
        await line.aclose()
        with pytest.raises(RedisConnectionError):
            await asking
    with pytest.raises(RedisConnectionError, match="closed here"):
        await line.ask(packed("stale"))
    assert echo.opened == 1


async def test_a_connection_that_breaks_fails_those_who_wait_and_the_next_call_opens_another(
    line: ReconnectingConnection, echo: Echo
) -> None:
    echo.silent.set()
    waiting = [asked(line, "lost") for _ in range(3)]
    await async_wait_until(lambda: len(echo.heard) == 3)
    await echo.hang_up()
    for one in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(one, RedisConnectionError)
    echo.silent.clear()
    assert await line.ask(packed("next")) == "next"


async def test_a_server_that_is_silent_for_too_long_is_given_up(
    line: ReconnectingConnection, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REPLY_TIMEOUT", 0.2)
    await line.ask(packed("first"))
    await asyncio.sleep(0.25)
    assert await line.ask(packed("after a pause")) == "after a pause"
    echo.silent.set()
    with pytest.raises(RedisTimeoutError, match=r"no answer within 0\.2 s"):
        await line.ask(packed("lost"))
    echo.silent.clear()
    assert await line.ask(packed("next")) == "next"
    assert echo.opened == 2


async def test_one_who_waits_long_is_not_given_up_while_the_server_answers_others(
    line: ReconnectingConnection, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REPLY_TIMEOUT", 0.2)
    await line.ask(packed("first"))
    echo.silent.set()
    slow = [asked(line, str(number)) for number in range(8)]
    await async_wait_until(lambda: len(echo.heard) == 9)
    for number in range(8):
        await asyncio.sleep(0.05)
        echo.writers[0].write(f"+{number}\r\n".encode())
    assert await asyncio.gather(*slow) == [str(number) for number in range(8)]


async def test_an_error_is_its_callers_alone(line: ReconnectingConnection, echo: Echo) -> None:
    echo.instead = b"-WRONGTYPE not a hash\r\n"
    with pytest.raises(ResponseError, match="WRONGTYPE not a hash"):
        await line.ask(packed("wrong"))
    echo.instead = b""
    assert await line.ask(packed("next")) == "next"
    assert echo.opened == 1


async def test_what_is_no_reply_breaks_the_connection_and_nothing_else(
    line: ReconnectingConnection, echo: Echo
) -> None:
    echo.instead = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with pytest.raises(RedisError):
        await line.ask(packed("lost"))
    echo.instead = b""
    assert await line.ask(packed("next")) == "next"
    assert echo.opened == 2


async def test_a_reply_that_comes_in_pieces_is_one(
    line: ReconnectingConnection, echo: Echo
) -> None:
    await line.ask(packed("first"))
    echo.silent.set()
    asking = asked(line, "long")
    await async_wait_until(lambda: "long" in echo.heard)
    for piece in (b"*2\r\n$3\r\na", b"bc\r", b"\n$2\r\nde\r\n"):
        echo.writers[0].write(piece)
        await asyncio.sleep(0.01)
    assert await asking == ["abc", "de"]


async def test_an_interrupted_wait_ends_and_the_line_goes_on(
    line: ReconnectingConnection, echo: Echo
) -> None:
    await line.ask(packed("first"))
    echo.silent.set()
    asking = asked(line, "waits")
    await async_wait_until(lambda: "waits" in echo.heard)
    line.interrupt()
    with pytest.raises(WaitInterruptedError):
        await asking
    echo.silent.clear()
    assert await line.ask(packed("next")) == "next"


async def test_who_interrupts_nobody_breaks_nothing(
    line: ReconnectingConnection, echo: Echo
) -> None:
    await line.ask(packed("first"))
    line.interrupt()
    assert await line.ask(packed("next")) == "next"
    assert echo.opened == 1


async def test_an_interruption_while_it_connects_is_not_lost(line: ReconnectingConnection) -> None:
    asking = asked(line, "waits")
    await asyncio.sleep(0)
    line.interrupt()
    with pytest.raises(WaitInterruptedError):
        await asking


async def test_those_who_wait_for_a_connection_share_one_failure(
    line: ReconnectingConnection, echo: Echo
) -> None:
    echo.accepts = False
    asking = [asked(line, "lost") for _ in range(50)]
    errors = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(one, RedisError) for one in errors)
    assert echo.opened == 1
    echo.accepts = True
    assert await line.ask(packed("next")) == "next"


async def test_one_who_connects_for_others_may_be_cancelled(line: ReconnectingConnection) -> None:
    first, other = asked(line, "first"), asked(line, "other")
    await asyncio.sleep(0)
    first.cancel()
    assert await other == "other"


async def test_a_line_that_is_closed_while_it_connects_leaves_nothing_open(
    line: ReconnectingConnection, echo: Echo
) -> None:
    asking = asked(line, "stale")
    await asyncio.sleep(0)
    await line.aclose()
    with pytest.raises(RedisConnectionError):
        await asking
    await async_wait_until(lambda: all(one.is_closing() for one in echo.writers))
