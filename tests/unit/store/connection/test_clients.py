from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import RedisError

from ciris_registry.store.connection.clients import CONNECT_TIMEOUT, Clients
from ciris_registry.store.connection.url import StoreURL
from tests.running import QUIETLY, run

if TYPE_CHECKING:
    from redis.asyncio import Redis


def clients(url: str) -> Clients:
    return Clients(StoreURL.parse(url))


def options_of(client: Redis) -> dict[str, Any]:
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    return options


def connection_of(client: Redis) -> Any:  # what redis-py makes of the options
    return client.connection_pool.connection_class(**options_of(client))


async def put(where: Clients, value: str) -> None:
    async with await where.client() as client:
        await client.set("key", value)


async def seen(where: Clients) -> object:
    async with await where.client() as client:
        return await client.get("key")


async def test_two_memory_urls_without_a_name_share_nothing() -> None:
    one, other = clients("memory://"), clients("memory://")

    await put(one, "mine")

    assert await seen(one) == "mine"
    assert await seen(other) is None


async def test_memory_urls_of_one_name_share_everything() -> None:
    await put(clients("memory://shared-by-test"), "ours")

    assert await seen(clients("memory://shared-by-test")) == "ours"
    assert await seen(clients("memory://other-name")) is None


def test_the_data_of_memory_outlives_an_event_loop() -> None:
    where = clients("memory://")

    asyncio.run(put(where, "kept"))

    assert asyncio.run(seen(where)) == "kept"


async def test_memory_runs_lua_and_has_a_clock() -> None:
    async with await clients("memory://").client() as client:
        seconds, _ = await client.eval("return redis.call('TIME')", 0)

    assert int(seconds) > 0


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:SECRET@db",
        "rediss://me:SECRET@db?ssl_cert_reqs=none",
        "unix://me:SECRET@/run/none.sock",
    ],
)
async def test_clients_know_the_password_but_do_not_show_it(url: str) -> None:
    where = clients(url)
    async with await where.client() as client:
        assert options_of(client)["password"] == "SECRET"
        for thing in (
            where,
            client,
            client.connection_pool,
            connection_of(client),
        ):
            assert "SECRET" not in repr(thing)
            assert "SECRET" not in str(thing)


async def test_every_client_has_our_timeouts_and_does_not_retry() -> None:
    async with await clients("redis://db").client() as client:
        options = options_of(client)

    assert options["socket_connect_timeout"] == CONNECT_TIMEOUT
    assert options["socket_timeout"] is None  # the transport has a limit of its own
    assert options["retry"]._retries == 0
    assert options["decode_responses"] is True


@pytest.mark.parametrize(
    ("query", "checked"),
    [("", True), ("?ssl_cert_reqs=none", False), ("?ssl_check_hostname=false", False)],
)
async def test_tls_checks_the_name_in_the_certificate_unless_the_url_says_otherwise(
    query: str, checked: bool
) -> None:
    async with await clients(f"rediss://db{query}").client() as client:
        connection = connection_of(client)

    assert connection.check_hostname is checked


async def test_a_refused_connection_is_reported_at_once_and_without_the_password() -> None:
    async with await clients("redis://me:SECRET@127.0.0.1:1").client() as client:
        async with asyncio.timeout(0.5):
            with pytest.raises(RedisError) as caught:
                await client.ping()

    assert "SECRET" not in str(caught.value)


def test_a_program_with_a_real_server_does_not_load_fakeredis() -> None:
    assert run("connects_to_a_server") == QUIETLY
