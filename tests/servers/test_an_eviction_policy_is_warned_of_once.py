"""A server that evicts keys is named in one warning, also where CONFIG is forbidden."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from ciris_registry import ServiceRegistry
from tests.servers import Server
from tests.servers.rights import add_user
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    with Server("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru") as one:
        yield one


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    return [one for one in said if "maxmemory-policy" in one]


async def use(url: str) -> None:
    async with ServiceRegistry(url=url) as registry:
        registry.register_global("llm", object(), name="shared")
        await registry.flush()
        await asyncio.sleep(0.1)
        await registry.refresh()
        assert registry.health().ok


async def test_a_user_without_config_is_warned_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await use(add_user(server))
    (said,) = warnings(caplog)
    assert "maxmemory-policy volatile-lru" in said


async def test_a_user_without_info_is_not_warned(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await use(add_user(server, without={"info"}))
    assert warnings(caplog) == []


async def test_a_server_that_evicts_nothing_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    with Server() as server:
        await use(server.url)
    assert warnings(caplog) == []


async def test_a_server_that_comes_later_is_named_then(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    async with ServiceRegistry(url=server.url) as registry:
        await registry.get_service("chat", "llm")
        assert warnings(caplog) == []
        server.start()
        await async_wait_until(lambda: registry.health().ok)
        await async_wait_until(lambda: warnings(caplog))
    assert len(warnings(caplog)) == 1
