"""What a node of a cluster has not done is sent again, in order, and where the node says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ClusterDownError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.pipelined import WaitInterruptedError
from ciris_registry.store.connection.reconnecting import ReconnectingConnection
from ciris_registry.store.connection.routing import Cluster, redirects
from tests.unit.store.connection.routing.node import Node, connection_to, slots_reply
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "key:{ns/0}"
SLOT = Cluster((), connection_to).route(KEY)._slot


class Home(Node):
    """The first master of the slot: it answers ``told``, or the word itself."""

    def __init__(self) -> None:
        super().__init__(self._said)
        self.told: list[str] = []
        self.always = ""

    def _said(self, words: list[str]) -> str:
        if words[0] == "CLUSTER":
            return slots_reply(SLOT, self.address, 1)[words[1] == "NODES"]
        if self.told:
            return self.told.pop(0)
        return self.always or f"+{words[-1]}"


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[Home, Home, ReconnectingConnection]]:
    async with Home() as home, Home() as other:
        made = ReconnectingConnection(Cluster([home.address], connection_to).route(KEY))
        assert await made.ask(packed("first")) == "first"
        yield home, other, made
        await made.aclose()


def packed(word: str) -> bytes:
    return f"*2\r\n$4\r\nECHO\r\n${len(word)}\r\n{word}\r\n".encode()


def asked(connection: ReconnectingConnection, *words: str) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(connection.ask(packed(word))) for word in words]


async def test_commands_that_were_moved_are_sent_again_in_order_to_the_new_master() -> None:
    async with two_nodes() as (home, other, connection):
        home.always = f"-MOVED {SLOT} {other.address}"
        words = [str(number) for number in range(50)]
        assert await asyncio.gather(*asked(connection, *words)) == words
        assert [said[-1] for said in other.heard] == words
        assert await connection.ask(packed("next")) == "next"
        assert other.opened == 1
        assert home.count("ECHO") == 51, "later commands go to the new master"
        assert home.count("CLUSTER") == 2, "the error said where"


async def test_an_empty_host_is_the_host_that_answered() -> None:
    async with two_nodes() as (home, other, connection):
        home.told = [f"-MOVED {SLOT} :{other.address.port}"]
        assert await connection.ask(packed("moved")) == "moved"
        assert other.count("ECHO") == 1


async def test_a_named_master_that_cannot_be_reached_is_asked_for() -> None:
    async with two_nodes() as (home, _, connection):
        home.told = [f"-MOVED {SLOT} 127.0.0.1:1"]
        assert await connection.ask(packed("moved")) == "moved"
        assert home.opened == 2


async def test_asking_and_the_command_are_one_write_to_the_node_that_is_named() -> None:
    async with two_nodes() as (home, other, connection):
        home.always = f"-ASK {SLOT} {other.address}"
        assert await asyncio.gather(*asked(connection, "a", "b")) == ["a", "b"]
        together = [one for one in other.reads if "ECHO" in one]
        assert [word for one in together for word in one] == ["ASKING", "ECHO"] * 2
        assert all(one[::2] == ["ASKING"] * (len(one) // 2) for one in together)
        home.always = ""
        assert await connection.ask(packed("at home")) == "at home"
        assert other.count("ECHO") == 2, "ASK is about one command"


async def test_the_second_connection_is_used_when_the_slot_has_moved() -> None:
    async with two_nodes() as (home, other, connection):
        home.told = [f"-ASK {SLOT} {other.address}"]
        assert await connection.ask(packed("asked")) == "asked"
        home.always = f"-MOVED {SLOT} {other.address}"
        assert await connection.ask(packed("moved")) == "moved"
        assert other.opened == 1


@pytest.mark.parametrize("later", ["TRYAGAIN Multiple keys", "CLUSTERDOWN The cluster is down"])
async def test_what_cannot_be_served_yet_is_tried_again(later: str) -> None:
    async with two_nodes() as (home, _, connection):
        home.told = [f"-{later}"] * 4
        assert await connection.ask(packed("later")) == "later"
        assert home.count("ECHO") == 6


@pytest.mark.parametrize(
    ("later", "error"), [("TRYAGAIN x", TryAgainError), ("CLUSTERDOWN x", ClusterDownError)]
)
async def test_what_can_never_be_served_gets_its_error(
    later: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redirects, "REPLY_TIMEOUT", 0.05)
    async with two_nodes() as (home, _, connection):
        home.always = f"-{later}"
        with pytest.raises(error):
            await connection.ask(packed("never"))


async def test_two_nodes_that_name_each_other_are_not_asked_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redirects, "REPLY_TIMEOUT", 0.3)
    async with two_nodes() as (home, other, connection):
        home.always, other.always = (f"-MOVED {SLOT} {one.address}" for one in (other, home))
        with pytest.raises(ResponseError):
            await connection.ask(packed("never"))
        assert home.count("ECHO") + other.count("ECHO") < 15


async def test_a_read_that_a_failover_ends_goes_on_at_the_new_master() -> None:
    async with two_nodes() as (home, _, connection):
        home.told = ["-UNBLOCKED force unblock from blocking operation, instance state changed"]
        assert await connection.ask(packed("read")) == "read"
        assert home.opened == 2, "the master was asked for again"


async def test_a_caller_that_stops_waiting_leaves_no_command() -> None:
    async with two_nodes() as (home, _, connection):
        home.always = "-TRYAGAIN x"
        (gone,) = asked(connection, "gone")
        await async_wait_until(lambda: home.count("ECHO") > 2)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        home.always = ""
        assert await connection.ask(packed("next")) == "next"
        assert not connection._redirects._commands  # type: ignore[union-attr]


async def test_an_interruption_ends_the_wait_of_a_redirected_read() -> None:
    async with two_nodes() as (home, _, connection):
        home.always = "-TRYAGAIN x"
        (waiting,) = asked(connection, "read")
        await async_wait_until(lambda: home.count("ECHO") > 2)
        connection.interrupt()
        with pytest.raises(WaitInterruptedError):
            await waiting


async def test_closing_ends_the_wait_of_a_redirected_command() -> None:
    async with two_nodes() as (home, _, connection):
        home.always = "-TRYAGAIN x"
        (waiting,) = asked(connection, "waits")
        await async_wait_until(lambda: home.count("ECHO") > 2)
        await connection.aclose()
        with pytest.raises(RedisConnectionError, match="has closed the connection"):
            await waiting


async def test_another_error_is_raised_in_its_call() -> None:
    async with two_nodes() as (home, _, connection):
        home.told = ["-WRONGTYPE not a hash"]
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await connection.ask(packed("wrong"))
