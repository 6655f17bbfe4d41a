"""The master is what the newest answer of all sentinels says, and only if it says so itself."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import RedisError

from ciris_registry.store.connection.routing import Address, Sentinels
from tests.unit.store.connection.routing.node import Node, connection_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "mymaster"
NOWHERE = Address("127.0.0.1", 1)


def array(*words: str) -> str:
    return "\r\n".join([f"*{len(words)}", *(f"${len(one)}\r\n{one}" for one in words)])


class Sentinel(Node):
    """A sentinel that names ``master`` with ``epoch``."""

    def __init__(self) -> None:
        super().__init__(self._says)
        self.master = NOWHERE
        self.epoch = 1
        self.silent = False

    def _says(self, words: list[str]) -> str | None:
        if self.silent:
            return None
        if words[1] == "MASTER":
            return array("name", NAME, "config-epoch", str(self.epoch), "flags", "master")
        return array(self.master.host, str(self.master.port))


class Server(Node):
    """A server with a role."""

    def __init__(self) -> None:
        super().__init__(lambda _: array(self.role, "0"))
        self.role = "master"


class Group:
    """Three sentinels and two servers; the first server is the master."""

    def __init__(self, sentinels: list[Sentinel], servers: list[Server]) -> None:
        self.sentinels = sentinels
        self.old, self.new = servers
        self.route = Sentinels(
            [one.address for one in sentinels], NAME, connection_to, connection_to
        )
        self.name(self.old, 1)

    def name(self, server: Server, epoch: int, by: slice = slice(None)) -> None:
        """Let sentinels name a server."""
        for one in self.sentinels[by]:
            one.master, one.epoch = server.address, epoch

    async def led_to(self) -> Address:
        connection = await self.route.connect()
        await connection.disconnect()
        return Address(connection.host, connection.port)


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    async with AsyncExitStack() as stack:
        sentinels = [await stack.enter_async_context(Sentinel()) for _ in range(3)]
        servers = [await stack.enter_async_context(Server()) for _ in range(2)]
        yield Group(sentinels, servers)


async def test_the_newest_answer_counts_however_many_say_otherwise(group: Group) -> None:
    assert await group.led_to() == group.old.address
    group.name(group.new, 2, slice(1))
    assert await group.led_to() == group.new.address


async def test_nothing_leads_back_to_an_old_master(group: Group) -> None:
    """The one sentinel that knows of the failover does not answer, the others were cut off."""
    group.name(group.new, 2)
    assert await group.led_to() == group.new.address
    group.name(group.old, 1, slice(1, None))
    group.sentinels[0].silent = True
    with pytest.raises(RedisError, match="know only an old master"):
        await group.led_to()
    group.sentinels[0].silent = False
    assert await group.led_to() == group.new.address
    assert not group.old.heard, "nothing was sent to the old master"


async def test_sentinels_that_were_all_made_anew_are_believed(group: Group) -> None:
    group.name(group.new, 7)
    await group.led_to()
    group.name(group.old, 0)
    assert await group.led_to() == group.old.address


async def test_a_replica_gets_no_command(group: Group) -> None:
    group.old.role = "slave"
    with pytest.raises(RedisError, match="says that it is a replica"):
        await group.led_to()
    assert group.old.heard == [["ROLE"]]


async def test_a_right_that_is_missing_at_the_master_is_named(group: Group) -> None:
    group.old.reply = lambda _: "-NOPERM no permissions to run the 'role' command"
    with pytest.raises(RedisError, match="'role' command"):
        await group.led_to()


async def test_a_sentinel_that_hangs_holds_up_little(group: Group) -> None:
    group.sentinels[1].silent = True
    async with asyncio.timeout(0.9):  # one that hangs is given up after 1 s
        assert await group.led_to() == group.old.address


async def test_one_sentinel_that_answers_is_enough(group: Group) -> None:
    await group.sentinels[0].__aexit__()
    await group.sentinels[1].__aexit__()
    assert await group.led_to() == group.old.address


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("-ERR No such master with that name", "No such master with that name"),
        ("-NOAUTH Authentication required.", "Authentication required"),
        ("*-1", "knows no master mymaster"),
    ],
)
async def test_what_is_wrong_with_the_sentinels_is_said(
    group: Group, reply: str, problem: str
) -> None:
    for one in group.sentinels:
        one.reply = lambda _: reply
    with pytest.raises(RedisError, match=f"no sentinel names the master mymaster: .*{problem}"):
        await group.led_to()
