"""Redis hangs or is killed: no call raises, and only one resolve of each process waits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.fleet.outages import REGISTER, RESOLVE, STOP, STORE_TIMEOUT, wait_for, wait_for_away
from tests.waiting import async_wait_until, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

LONG = 0.5
MODES = ("cached", "exact")
OUTAGES = ("hangs", "is killed")

EVERYTHING = """

    global calling, calling_on
    calling_on = True
    calls = {
        "get_service": lambda: registry.get_service("h", "llm"),
        "get_service, exact": lambda: registry.get_service("h", "llm", consistency="exact"),
        "get_service of an unknown type": lambda: registry.get_service("h", "unheard-of"),
        "get_service_with_fallback": lambda: registry.get_service_with_fallback("h", "llm"),
        "explain": lambda: registry.explain("h", "llm"),
        "wait_ready": lambda: registry.wait_ready(1, ["llm"]),
        "health_check_all": registry.health_check_all,
        "aget_provider_info": registry.aget_provider_info,
        "arecord_success": well.arecord_success,
        "arecord_failure": well.arecord_failure,
        "ais_available": well.ais_available,
        "aget_stats": well.aget_stats,
        "acheck_and_raise": well.acheck_and_raise,
        "acool_down": lambda: registry.breaker("llm", "cooling").acool_down(1),
        "start": registry.start,
    }
    plain = {
        "get_provider_info": registry.get_provider_info,
        "get_services_by_type": lambda: registry.get_services_by_type("llm"),
        "record_success": well.record_success,
        "record_failure": well.record_failure,
        "is_available": well.is_available,
        "check_and_raise": well.check_and_raise,
        "get_stats": well.get_stats,
        "state": lambda: well.state,
        "cool_down": lambda: registry.breaker("llm", "cooling").cool_down(1),
        "health": registry.health,
        "register_global": lambda: registry.register_global("llm", Client(), name="stale"),
        "unregister": lambda: registry.unregister("stale"),
    }

    async def call():
        worst, failures = {}, {}
        while calling_on:
            for name, one in {**calls, **plain}.items():
                began = time.perf_counter()
                try:
                    answer = one()
                    if name in calls:
                        await answer
                except CircuitBreakerError as error:
                    if "raise" not in name:
                        failures[name] = repr(error)
                except Exception as error:
                    failures[name] = repr(error)
                worst[name] = max(worst.get(name, 0), time.perf_counter() - began)
                await asyncio.sleep(0.001)
        return {"worst": worst, "failures": failures}

    calling = asyncio.ensure_future(call())
"""
ENOUGH = """
    global calling_on
    calling_on = False
    return await calling
"""


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
    three.all(REGISTER)
    three.all(RESOLVE)
    three.all("await asyncio.sleep(0.5)")
    begin_outage(server, outage)
    wait_for(three, "lost")
    three.all("await asyncio.sleep(0.3)")
    found = three.all(STOP)
    for one in found:
        assert one["slow"] <= 1
        assert one["worst"] < 2 * LONG, "it waited for its own time, and for nothing else"
        assert one["waits"] <= 1
        assert one["none"] == 0
        assert one["outages"] == 1
        assert one["resolves"] > 50
    three.all(RESOLVE)
    end_outage(server, outage)
    wait_for(three, "connected")
    three.all("await asyncio.sleep(0.2)")
    for one in three.all(STOP):
        assert one["none"] == 0
        assert one["worst"] < 2


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("mode", MODES)
def test_no_method_raises(
    server: Server, borrow: Callable[..., Team], mode: str, outage: str
) -> None:
    two = borrow(2, server.url, mode, store_timeout=STORE_TIMEOUT)
    two.all(REGISTER)
    two.all('global well\nwell = registry.breaker("llm", "well")')
    two.all(EVERYTHING)
    two.all("await asyncio.sleep(0.3)")
    begin_outage(server, outage)
    wait_for_away(two)
    two.all("await asyncio.sleep(0.3)")
    end_outage(server, outage)
    wait_for(two, "connected")
    two.all("await asyncio.sleep(0.2)")
    found = two.all(ENOUGH)
    slowest: dict[str, Any] = {}
    for one in found:
        assert one["failures"] == {}
        for name, took in one["worst"].items():
            slowest[name] = round(max(slowest.get(name, 0), took), 3)
    print(mode, outage, slowest)  # noqa: T201 # as above
    # A few times the store_timeout; neither the REPLY_TIMEOUT nor the write_timeout.
    assert max(slowest.values()) < 1.5, slowest


def test_many_at_once_wait_no_longer_than_the_first_of_them(
    server: Server, borrow: Callable[..., Team]
) -> None:
    [agent] = borrow(1, server.url, "exact", store_timeout=0.6)
    agent.run(REGISTER)
    server.freeze()
    ended = agent.run("""
        async def ask(after):
            await asyncio.sleep(after)
            assert await registry.get_service("h", "llm") is not None
            return time.perf_counter()
        return await asyncio.gather(*(ask(0.05 * n) for n in range(10)))
    """)
    assert max(ended) - min(ended) < 0.3


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_is_one_line_in_the_log_and_its_end_another(
    server: Server, borrow: Callable[..., Team], mode: str
) -> None:
    [agent] = borrow(1, server.url, mode, store_timeout=STORE_TIMEOUT)
    agent.run(REGISTER)
    agent.run("""
        global lines, kept
        global logging
        import logging
        lines = []
        class Kept(logging.Handler):
            def emit(self, record):
                lines.append(record.getMessage())
        kept = Kept()
        logging.getLogger("ciris_registry.store.connection.connectivity").addHandler(kept)
    """)
    agent.run(RESOLVE)
    for outage in range(2):
        server.kill()
        wait_until(lambda: agent.run("return registry.health().redis") == "lost")
        agent.run("await asyncio.sleep(0.3)")
        assert agent.run("return registry.health().outages") == outage + 1
        assert agent.run("return registry.health().error")
        assert not agent.run("return registry.health().ok")
        server.start()
        wait_until(lambda: agent.run("return registry.health().redis") == "connected")
        assert agent.run("return registry.health().error") == ""
    agent.run(STOP)
    lines = agent.run("""
        logging.getLogger("ciris_registry.store.connection.connectivity").removeHandler(kept)
        return lines
    """)
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
