"""Host names are looked up without the program's threads, and kept while connections last."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry import ServiceRegistry
from ciris_registry.store.connection.clients import Clients
from ciris_registry.store.connection.routing import Address, Names, names
from ciris_registry.store.connection.url import StoreURL
from tests.unit.store.connection.routing.node import Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Lookups:
    """Stands in for the name server: answers with ``found``, or hangs."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.found: tuple[str, ...] = ("127.0.0.1",)
        self.answers = threading.Event()
        self.answers.set()

    def __call__(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        self.answers.wait(60)
        return self.found


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lookups]:
    made = Lookups()
    monkeypatch.setattr(names, "_lookup", made)
    yield made
    made.answers.set()


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with Node(lambda _: "+PONG") as made:
        yield made


async def connection(clients: Clients) -> Any:
    return await clients.route("key").connect()


def clients_of(node: Node) -> Clients:
    return Clients(StoreURL.parse(f"redis://my-redis:{node.address.port}"))


async def test_a_name_is_looked_up_again_when_no_connection_to_it_is_left(
    lookups: Lookups, node: Node
) -> None:
    clients = clients_of(node)
    first, second = await connection(clients), await connection(clients)
    assert lookups.asked == ["my-redis"]
    await first.disconnect()
    third = await connection(clients)
    assert lookups.asked == ["my-redis"]
    for one in (second, third):
        await one.disconnect()
    await (await connection(clients)).disconnect()
    assert lookups.asked == ["my-redis"] * 2


async def test_each_address_of_a_name_is_tried(lookups: Lookups, node: Node) -> None:
    lookups.found = ("127.0.0.2", "127.0.0.1")  # nothing listens on the first
    await (await connection(clients_of(node))).disconnect()
    assert node.opened == 1


async def test_an_address_is_no_name(lookups: Lookups) -> None:
    for host in ("127.0.0.1", "::1"):
        assert await Names().addresses(host) == (host,)
    assert not lookups.asked


async def test_a_lookup_that_hangs_is_given_up_and_not_begun_again(
    lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_LONGEST", 0.02)
    lookups.answers.clear()
    for _ in range(5):
        with pytest.raises(RedisConnectionError, match="my-redis took longer than"):
            await Names().addresses("my-redis")
    assert lookups.asked == ["my-redis"], "one thread waits for the name server, not five"


async def test_a_name_server_that_hangs_takes_none_of_the_programs_threads(
    lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups.answers.clear()
    used: list[object] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "run_in_executor", lambda *work: used.append(work))
    urls = ("redis://my-redis", "redis+cluster://a,b,c", "redis+sentinel://d,e,f/name")
    registries = [ServiceRegistry(url=url) for url in urls for _ in range(3)]
    for one in registries:
        one.register_global("llm", object(), name="shared")
    async with asyncio.timeout(20):
        found = await asyncio.gather(*(one.get_service("h", "llm") for one in registries))
    assert None not in found, "they work without Redis"
    assert len(lookups.asked) == 7, "each name is asked for once in the process"
    assert not used
    monkeypatch.undo()
    lookups.answers.set()
    for one in registries:
        await one.aclose()


async def test_a_name_that_is_not_known_is_said() -> None:
    with pytest.raises(RedisConnectionError, match=r"the name no-such\.invalid is not known"):
        await Names().addresses("no-such.invalid")


def test_a_certificate_must_name_the_host_and_not_its_address() -> None:
    made: Any = Clients(StoreURL.parse("rediss://my-redis"))._connection_to(Address("my-redis", 1))
    made._address = "10.0.0.1"
    arguments = made._connection_arguments()
    assert (arguments["host"], arguments["server_hostname"]) == ("10.0.0.1", "my-redis")
    assert arguments["ssl"].check_hostname


def test_the_system_is_asked_for_a_name() -> None:
    assert "127.0.0.1" in names._lookup("localhost")
