"""The master of a slot is what the newest answer of a node says."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import RedisError

from ciris_registry.store.connection.routing import Address, Cluster
from ciris_registry.store.connection.routing.slot_map import SlotMap
from tests.unit.store.connection.routing.node import Node, connection_to, slots_reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

KEY = "key:{ns/0}"
SLOT = Cluster((), connection_to).route(KEY)._slot
NOWHERE = Address("127.0.0.1", 1)


class Knowing(Node):
    """A node that names ``master`` with ``epoch``."""

    def __init__(self) -> None:
        super().__init__(self.says)
        self.master: Address | None = None
        self.epoch = 1
        self.silent = False

    def says(self, words: list[str]) -> str | None:
        if self.silent:
            return None
        master = self.master or self.address
        return slots_reply(SLOT, master, self.epoch)[words[1] == "NODES"]


@pytest.fixture
async def nodes() -> AsyncIterator[list[Knowing]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Knowing()) for _ in range(3)]


async def led_to(cluster: Cluster) -> Address:
    connection = await cluster.route(KEY).connect()
    await connection.disconnect()
    return Address(connection.host, connection.port)


async def test_any_node_names_the_master(nodes: list[Knowing]) -> None:
    nodes[0].master = nodes[2].address
    assert await led_to(Cluster([NOWHERE, nodes[0].address], connection_to)) == nodes[2].address


async def test_the_connection_to_the_master_that_was_asked_is_used(nodes: list[Knowing]) -> None:
    await led_to(Cluster([nodes[0].address], connection_to))
    assert nodes[0].opened == 1


async def test_a_node_that_hangs_holds_up_nothing(nodes: list[Knowing]) -> None:
    cluster = Cluster([one.address for one in nodes], connection_to)
    nodes[0].silent = True
    nodes[1].master = nodes[2].master = nodes[2].address
    for _ in range(3):
        assert await led_to(cluster) == nodes[2].address


async def test_a_node_that_was_cut_off_does_not_lead_back_to_an_old_master(
    nodes: list[Knowing],
) -> None:
    old, new, cut_off = nodes
    cluster = Cluster([one.address for one in nodes], connection_to)
    for one in nodes:
        one.master, one.epoch = new.address, 2
    assert await led_to(cluster) == new.address
    for one in (old, cut_off):
        one.master, one.epoch = old.address, 1
    for _ in range(5):
        assert await led_to(cluster) == new.address
    new.silent = True
    cluster._known = (*cluster._known, NOWHERE)  # it is one of many nodes that do not answer
    with pytest.raises(RedisError, match="name an old master"):
        await led_to(cluster)


async def test_an_epoch_that_all_nodes_have_forgotten_is_no_matter(nodes: list[Knowing]) -> None:
    """A slot that was assigned by hand, or a cluster that was made anew at the same addresses."""
    cluster = Cluster([one.address for one in nodes], connection_to)
    for one in nodes:
        one.master, one.epoch = nodes[0].address, 9
    await led_to(cluster)
    for one in nodes:
        one.master, one.epoch = nodes[1].address, 1
    assert await led_to(cluster) == nodes[1].address


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("-ERR This instance has cluster support disabled", "is no node of a cluster: use redis"),
        ("-NOPERM this user has no permissions to run the 'cluster' command", "NOPERM|permissions"),
        ("*0", "no node of the cluster serves slot"),
    ],
)
async def test_what_is_wrong_with_the_nodes_is_said(
    nodes: list[Knowing], reply: str, problem: str
) -> None:
    said: Callable[[list[str]], str] = lambda _: reply  # noqa: E731 # an attribute
    nodes[0].reply = said
    with pytest.raises(RedisError, match=problem):
        await led_to(Cluster([nodes[0].address], connection_to))


async def test_a_cluster_whose_nodes_are_all_away_says_so() -> None:
    with pytest.raises(RedisError, match=r"no node of the cluster answers: .*127\.0\.0\.1:1"):
        await led_to(Cluster([NOWHERE], connection_to))


ASKED = Address("asked", 7000)
MASTER = "a" * 40
LINES = f"{MASTER} 10.0.0.1:7001@17001,m.example.com master - 0 0 3 connected 0-16383\n"


@pytest.mark.parametrize(
    ("server", "address"),
    [
        (["10.0.0.1", 7001, MASTER], Address("10.0.0.1", 7001)),
        (
            ["m.example.com", 7001, MASTER, ["ip", "10.0.0.1"]],
            Address("m.example.com", 7001),
        ),
        ([None, 7001, MASTER], Address("asked", 7001)),
        (["", 7001, MASTER], Address("asked", 7001)),
        (["?", 7001, MASTER], Address("10.0.0.1", 7001)),
        (["::1", 7001, MASTER], Address("::1", 7001)),
    ],
)
def test_a_node_is_called_by_the_address_that_it_wants(server: Any, address: Address) -> None:
    found = SlotMap.of(ASKED, [[0, 16_383, server]], LINES).master_of(5)
    assert found == (address, 3)


def test_a_node_that_may_not_list_the_others_has_no_epoch() -> None:
    slots = SlotMap.of(ASKED, [[0, 99, ["a", 1, MASTER]], [100, 199, ["b", 1]]], RedisError())
    assert slots.master_of(5) == (Address("a", 1), 0)
    assert slots.master_of(150) == (Address("b", 1), 0)
    assert slots.master_of(200) is None
    assert slots.nodes == (Address("a", 1), Address("b", 1))
