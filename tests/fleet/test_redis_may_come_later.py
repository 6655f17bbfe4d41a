"""Redis is away when a process starts or ends: neither waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal

import pytest
import redis

from ciris_registry import RegistrySettings, ServiceRegistry, StoreUnavailableError
from tests.fleet.shared_state import SharedState
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.server import Server

SETTINGS = RegistrySettings(store_timeout=0.05, write_timeout=0.5)


def bring_down(server: Server, how: str) -> None:
    if how == "hangs":
        server.freeze()
    else:
        server.kill()


def bring_up(server: Server, how: str) -> None:
    if how == "hangs":
        server.thaw()
    else:
        server.start()


FIRST = ("start", "get_service", "wait_ready", "arecord_failure")


@pytest.mark.parametrize(
    ("how", "first"), [("hangs", "get_service"), *(("refuses", one) for one in FIRST)]
)
async def test_a_process_starts_without_redis_and_joins_by_itself(
    server: Server, how: str, first: str
) -> None:
    bring_down(server, how)
    provider = object()
    registry = ServiceRegistry(url=server.url, settings=SETTINGS)
    try:
        registry.register_global("llm", provider, name="shared")
        handle = registry.breaker("llm", "shared")
        began = time.perf_counter()
        if first == "start":
            await registry.start()
        elif first == "get_service":
            assert await registry.get_service("h", "llm") is provider
        elif first == "wait_ready":
            assert await registry.wait_ready(5, ["llm"])
        else:
            await handle.arecord_failure()
        took = time.perf_counter() - began
        assert took < 4, took
        assert registry.health().redis == "lost"
        assert await registry.get_service("h", "llm") is provider
        with pytest.raises(StoreUnavailableError):
            await registry.flush()
        bring_up(server, how)
        await async_wait_until(lambda: registry.health().ok)
        with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
            shared = SharedState(client)
            await async_wait_until(lambda: set(shared.members("shared")) == {registry.process_id})
            handle.record_failure()
            await registry.flush()
            assert shared.breaker()["total_failures"] == str(1 + (first == "arecord_failure"))
    finally:
        await registry.aclose()


@pytest.mark.parametrize("noticed", [True, False])
@pytest.mark.parametrize("how", ["hangs", "refuses"])
async def test_closing_does_not_wait_for_redis(server: Server, how: str, *, noticed: bool) -> None:
    registry = ServiceRegistry(url=server.url, settings=RegistrySettings(store_timeout=0.05))
    registry.register_global("llm", object(), name="shared")
    assert await registry.get_service("h", "llm") is not None
    handle = registry.breaker("llm", "shared")
    handle.record_success()
    bring_down(server, how)
    if noticed:
        await registry.get_service("h", "llm", consistency="exact")
    handle.record_failure()
    handle.force_open("maintenance")
    began = time.perf_counter()
    await registry.aclose()
    took = time.perf_counter() - began
    print(f"{how}, noticed: {noticed}: closed after {took:.3f} s")  # noqa: T201 # measured
    assert took < 1.0


@pytest.mark.parametrize("url", ["memory", "real"], indirect=True)
def test_one_registry_in_one_event_loop_after_another(url: str) -> None:
    settings = RegistrySettings(max_staleness=0.2, success_report_interval=0.05)
    registry = ServiceRegistry(url=url, settings=settings)
    provider = object()
    registry.register_global("llm", provider, name="shared")
    handle = registry.breaker("llm", "shared")

    async def use() -> None:
        for _ in range(50):
            assert await registry.get_service("h", "llm") is provider
            handle.record_success()
            await asyncio.sleep(0.005)
        await handle.arecord_failure()

    for _ in range(3):
        asyncio.run(use())

    async def end() -> dict[str, object]:
        stats = await handle.aget_stats()
        await registry.aclose()
        return stats

    stats = asyncio.run(end())
    assert (stats["total_successes"], stats["total_failures"]) == (150, 3)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"-DENIED protected mode\r\n"]
)
@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_another_server_in_the_place_of_redis_counts_as_away(
    answer: bytes, mode: Literal["cached", "exact"]
) -> None:
    """The error of a load balancer without a server behind it was raised by every resolve."""
    served: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer)
        while await reader.read(4096):
            writer.write(answer)
        writer.close()
        await writer.wait_closed()
        served.remove(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as standing:
        port = standing.sockets[0].getsockname()[1]
        async with ServiceRegistry(
            url=f"redis://127.0.0.1:{port}", settings=SETTINGS, consistency=mode
        ) as registry:
            provider = object()
            registry.register_global("llm", provider, name="shared")
            assert await registry.get_service("h", "llm") is provider
            assert await registry.call("h", "llm", _itself) is provider
            assert registry.health().redis != "connected"
        await asyncio.sleep(0.1)  # the last connection may not have been served yet
        await async_wait_until(lambda: not served)


async def _itself(provider: object) -> object:
    return provider


def test_a_wait_in_a_closed_event_loop_does_not_disturb_the_next_loop(
    server: Server,
) -> None:
    """When Redis was back, the next resolve raised that the event loop is closed."""
    registry = ServiceRegistry(url=server.url, settings=SETTINGS)
    provider = object()
    registry.register_global("llm", provider, name="shared")
    server.kill()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(registry.wait_ready(60, ["memory"]))
    loop.run_until_complete(asyncio.sleep(0.3))
    loop.close()
    server.start()

    async def use() -> None:
        await async_wait_until(lambda: registry.health().redis == "connected")
        assert await registry.get_service("h", "llm") is provider
        await registry.aclose()

    async def begin_and_use() -> None:
        assert await registry.get_service("h", "llm") is provider
        await use()

    asyncio.run(begin_and_use())
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_offline_outcomes_of_a_loop_that_ended_are_merged_in_the_next(
    server: Server,
) -> None:
    registry = ServiceRegistry(url=server.url, settings=SETTINGS)
    registry.register_global("llm", object(), name="shared")
    handle = registry.breaker("llm", "shared")

    async def use(act: Callable[[], object]) -> None:
        await registry.get_service("h", "llm")
        act()
        for _ in range(5):
            await handle.arecord_failure()

    await asyncio.to_thread(asyncio.run, use(server.kill))
    server.start()
    assert await registry.get_service("h", "llm") is None
    await registry.aclose()
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        assert SharedState(client).state() == "open"
