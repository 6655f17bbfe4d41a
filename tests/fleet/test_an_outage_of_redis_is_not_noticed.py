"""Redis hangs or is killed: no call raises, and only one resolve of each process waits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.fleet.outages import STORE_TIMEOUT, wait_for, wait_for_away
from tests.fleet.work import every_method, outage_log, outages, registries
from tests.waiting import async_wait_until, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

LONG = 0.5
MODES = ("cached", "exact")
OUTAGES = ("hangs", "is killed")


def begin_outage(server: Server, outage: str) -> None:
    if outage == "hangs":
        server.freeze()
    else:
        server.kill()


def end_outage(server: Server, outage: str) -> None:
    if outage == "hangs":
        server.thaw()
    else:
        server.start()


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("mode", MODES)
def test_one_resolve_of_a_process_waits_and_the_rest_do_not(
    server: Server, borrow: Callable[..., Team], mode: str, outage: str
) -> None:
    # So long that nothing else on a busy machine takes about as long.
    three = borrow(3, server.url, mode, store_timeout=LONG)
    three.all(outages.register)
    three.all(outages.resolve)
    three.all(registries.sleep, 0.5)
    begin_outage(server, outage)
    wait_for(three, "lost")
    three.all(registries.sleep, 0.3)
    found = three.all(outages.stop_resolving)
    for one in found:
        assert one["slow"] <= 1
        assert one["worst"] < 2 * LONG, "it waited for its own time, and for nothing else"
        assert one["waits"] <= 1
        assert one["none"] == 0
        assert one["outages"] == 1
        assert one["resolves"] > 50
    three.all(outages.resolve)
    end_outage(server, outage)
    wait_for(three, "connected")
    three.all(registries.sleep, 0.2)
    for one in three.all(outages.stop_resolving):
        assert one["none"] == 0
        assert one["worst"] < 2


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("mode", MODES)
def test_no_method_raises(
    server: Server, borrow: Callable[..., Team], mode: str, outage: str
) -> None:
    two = borrow(2, server.url, mode, store_timeout=STORE_TIMEOUT)
    two.all(outages.register)
    two.all(every_method.call_all)
    two.all(registries.sleep, 0.3)
    begin_outage(server, outage)
    wait_for_away(two)
    two.all(registries.sleep, 0.3)
    end_outage(server, outage)
    wait_for(two, "connected")
    two.all(registries.sleep, 0.2)
    found = two.all(every_method.stop_calling)
    slowest: dict[str, Any] = {}
    for one in found:
        assert one["failures"] == {}
        for name, took in one["worst"].items():
            slowest[name] = round(max(slowest.get(name, 0), took), 3)
    print(mode, outage, slowest)  # noqa: T201 # as above
    # A call waits a few times the store_timeout, never CONNECT_TIMEOUT or the write_timeout.
    assert max(slowest.values()) < 1.5, slowest


def test_many_at_once_wait_no_longer_than_the_first_of_them(
    server: Server, borrow: Callable[..., Team]
) -> None:
    [agent] = borrow(1, server.url, "exact", store_timeout=0.6)
    agent.run(outages.register)
    server.freeze()
    ended = agent.run(outage_log.resolve_staggered)
    assert max(ended) - min(ended) < 0.3


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_is_one_line_in_the_log_and_its_end_another(
    server: Server, borrow: Callable[..., Team], mode: str
) -> None:
    [agent] = borrow(1, server.url, mode, store_timeout=STORE_TIMEOUT)
    agent.run(outages.register)
    agent.run(outage_log.keep_log)
    agent.run(outages.resolve)
    for outage in range(2):
        server.kill()
        wait_until(lambda: agent.run(registries.redis_state) == "lost")
        agent.run(registries.sleep, 0.3)
        assert agent.run(registries.outages) == outage + 1
        assert agent.run(registries.error)
        assert not agent.run(registries.is_ok)
        server.start()
        wait_until(lambda: agent.run(registries.redis_state) == "connected")
        assert agent.run(registries.error) == ""
    agent.run(outages.stop_resolving)
    lines = agent.run(outage_log.kept_log)
    assert [line[:13] for line in lines] == ["Redis is away", "Redis is back"] * 2


async def test_a_resolve_does_not_wait_for_a_comparison_that_hangs(server: Server) -> None:
    """It waited behind a comparison of the watcher, which ends after 5 seconds."""
    async with ServiceRegistry(
        url=server.url, settings=RegistrySettings(store_timeout=0.2)
    ) as registry:
        registry.register("h", "llm", object())
        assert await registry.get_service("h", "llm") is not None
        replica, flight = (
            registry._parts.replicas.of("llm"),
            registry._parts.single_flights.of("llm"),
        )
        await asyncio.sleep(0.3)  # the event of the registration causes one more refresh
        await async_wait_until(lambda: replica.place and flight._running is None)
        server.freeze()
        hanging = asyncio.ensure_future(flight.run(await registry._session.store()))
        await asyncio.sleep(0.01)
        replica.distrust()

        began = time.monotonic()
        assert await registry.get_service("h", "llm") is not None
        assert time.monotonic() - began < 2
        server.thaw()
        await hanging


async def test_a_first_look_at_a_server_that_hangs_ends_for_all_at_once(server: Server) -> None:
    """Each caller waited two seconds, one after another, without a check whether Redis answers."""
    settings = RegistrySettings(store_timeout=0.05)
    async with ServiceRegistry(url=server.url, settings=settings, consistency="exact") as registry:
        registry.register("h", "memory", object())
        assert await registry.get_service("h", "memory") is not None
        registry.register("h", "llm", object())
        await registry.flush()
        server.freeze()
        began = time.monotonic()
        looks: list[asyncio.Task[object]] = []
        for _ in range(6):
            looks.append(asyncio.create_task(registry.get_service("h", "llm")))
            await asyncio.sleep(0.1)
        assert None not in await asyncio.gather(*looks)
        assert time.monotonic() - began < 2.0
        assert registry.health().redis == "lost"
        server.thaw()
