"""An error reply never reaches a caller: it is an outage, which says what it was and what to do."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry import NoProviderError, RegistrySettings, ServiceRegistry
from ciris_registry.errors import StoreError
from tests.redis_proxy import RedisProxy
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.redis_proxy import Words

SETTINGS: Final = RegistrySettings(store_timeout=0.5, max_staleness=0.2, write_timeout=0.01)

REPLIES: Final = {
    "MOVED 7442 10.0.0.7:6379": "one node of a cluster: use redis+cluster://",
    "ASK 7442 10.0.0.7:6379": "one node of a cluster",
    "CROSSSLOT Keys in request don't hash to the same slot": "one node of a cluster",
    "TRYAGAIN Multiple keys request during rehashing of slot": "on its way to another node",
    "CLUSTERDOWN Hash slot not served": "no node for this slot",
    "LOADING Redis is loading the dataset in memory": "loads its data",
    "BUSY Redis is busy running a script.": "SCRIPT KILL",
    "UNKILLABLE Sorry the script already executed write commands": "runs too long",
    "MISCONF Redis is configured to save RDB snapshots": "see its log",
    "NOPERM User app has no permissions to run the 'evalsha' command": "+evalsha is missing",
    "ERR ACL failure in script: User app has no permissions to run the 'xadd' command script: on"
    " @user_script:7.": "+xadd is missing",
    "NOAUTH Authentication required.": "a user and a password",
    "WRONGPASS invalid username-password pair or user is disabled.": "is wrong",
    "READONLY You can't write against a read only replica.": "use its master",
    "OOM command not allowed when used memory > 'maxmemory'.": "maxmemory",
    "MASTERDOWN Link with MASTER is down": "lost its master",
    "NOREPLICAS Not enough good replicas to write.": "min-replicas-to-write",
    "UNBLOCKED force unblock from blocking operation": "UNBLOCKED",
    "ERR unknown command 'EVALSHA', with args beginning with:": "must run Lua scripts",
    "ERR max number of clients reached": "maxclients",
    "upstream failure": "the proxy has no server",
    "no upstream host": "the proxy has no server",
    "ERR max requests limit exceeded. Limit: 500000, Usage: 500000": "quota",
    "ERR something that no program has ever heard of": "no program has ever heard of",
    "WRONGTYPE Operation against a key holding the wrong kind of value": "",
}


class Client:
    """A provider that is well."""

    async def is_healthy(self) -> bool:
        return True

    async def ask(self) -> str:
        return "an answer"


async def ask(client: Client) -> str:
    return await client.ask()


async def items(client: Client) -> AsyncIterator[str]:
    yield await client.ask()


async def stream(registry: ServiceRegistry) -> None:
    assert [one async for one in registry.stream("h", "llm", items)] == ["an answer"]


async def acquire(registry: ServiceRegistry) -> None:
    async with registry.acquire("h", "llm") as client:
        await client.ask()


async def fail(registry: ServiceRegistry) -> None:
    async def failing(_client: Client) -> None:
        raise ConnectionError("down")

    with pytest.raises((ConnectionError, NoProviderError)):
        await registry.call("h", "tool", failing)


CALLS: Final[dict[str, Callable[[ServiceRegistry], Awaitable[Any]]]] = {
    "call": lambda r: r.call("h", "llm", ask),
    "call, exact": lambda r: r.call("h", "llm", ask, consistency="exact"),
    "call with a limit": lambda r: r.call("h", "memory", ask),
    "a call that fails": fail,
    "stream": stream,
    "acquire": acquire,
    "proxy": lambda r: r.proxy(Client, service_type="llm", handler="h").ask(),
    "get_service": lambda r: r.get_service("h", "llm"),
    "get_service, exact": lambda r: r.get_service("h", "llm", consistency="exact"),
    "get_service_with_fallback": lambda r: r.get_service_with_fallback("h", "audit"),
    "explain": lambda r: r.explain("h", "llm"),
    "wait_ready": lambda r: r.wait_ready(0.01, ["llm"]),
    "wait_ready in vain": lambda r: r.wait_ready(0.01, ["audit"]),
    "aget_provider_info": lambda r: r.aget_provider_info(),
    "health_check_all": lambda r: r.health_check_all(),
    "start": lambda r: r.start(),
    "ais_available": lambda r: r.breaker("llm", "one").ais_available(),
    "aget_stats": lambda r: r.breaker("llm", "one").aget_stats(),
    "acheck_and_raise": lambda r: r.breaker("llm", "one").acheck_and_raise(),
    "arecord_success": lambda r: r.breaker("llm", "one").arecord_success(),
    "arecord_failure": lambda r: r.breaker("llm", "one").arecord_failure(),
    "acool_down": lambda r: r.breaker("llm", "other").acool_down(0.001),
}
"""Every public method that awaits, but those whose only purpose is Redis."""

ONLY_REDIS: Final[dict[str, Callable[[ServiceRegistry], Awaitable[Any]]]] = {
    "flush": lambda r: r.flush(),
    "refresh": lambda r: r.refresh("llm"),
    "aunregister": lambda r: r.aunregister("nothing"),
    "areset_circuit_breakers": lambda r: r.areset_circuit_breakers(),
    "aforce_close": lambda r: r.breaker("llm", "one").aforce_close(duration=0.001),
    "aclear_override": lambda r: r.breaker("llm", "one").aclear_override(),
    "areset": lambda r: r.breaker("llm", "one").areset(),
}


def register(registry: ServiceRegistry) -> None:
    for kind, most in (("llm", None), ("memory", 2), ("tool", None)):
        registry.register_global(kind, Client(), name="one", max_in_flight=most)


async def raised_by(registry: ServiceRegistry) -> list[str]:
    """What any public call raises that it must not."""
    wrong: list[str] = []
    for name, call in CALLS.items():
        try:
            await call(registry)
        except Exception as error:  # noqa: BLE001 # any is wrong
            wrong.append(f"{name}: {error!r}")
    for name, call in ONLY_REDIS.items():
        try:
            await call(registry)
        except StoreError:
            pass
        except Exception as error:  # noqa: BLE001 # any other is wrong
            wrong.append(f"{name}: {error!r}")
    return wrong


async def refused(
    turns: asyncio.Semaphore, socket: str, mode: Any, line: str, advice: str
) -> list[str]:
    """What is wrong while a server answers everything with this line, and then no more."""
    wrong = []
    async with (
        turns,
        RedisProxy(socket) as proxy,
        ServiceRegistry(
            url=proxy.url, settings=SETTINGS, consistency=mode, namespace=f"n{abs(hash(line))}"
        ) as registry,
    ):
        register(registry)
        await registry.flush()
        for call in CALLS.values():
            await call(registry)
        proxy.refuse_all(line)
        wrong += await raised_by(registry)
        if advice:
            await async_wait_until(lambda: registry.health().redis == "lost")
            error = registry.health().error
            wrong += [] if advice in error else [f"health says {error!r}, not {advice!r}"]
        proxy.accept_all()
        await async_wait_until(lambda: registry.health().ok)
        await registry.flush()
        for call in CALLS.values():
            await call(registry)
        if not registry.health().ok:
            wrong.append(f"afterwards {registry.health()}")
        if registry.health().outages != bool(advice):
            wrong.append(f"{registry.health().outages} outages")
    return [f"{line[:20]}: {one}" for one in wrong]


OF_EACH_KIND: Final = ("MOVED", "TRYAGAIN", "OOM", "ERR ACL", "upstream", "ERR some", "WRONGTYPE")


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        ("cached", tuple(REPLIES)),
        ("exact", tuple(one for one in REPLIES if one.startswith(OF_EACH_KIND))),
    ],
    ids=["cached", "exact"],
)
async def test_no_error_reply_reaches_a_caller(
    private_server: str, mode: str, lines: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Calls raised StoreError, registrations were dropped, and health() said connected."""
    socket, turns = private_server.removeprefix("unix://"), asyncio.Semaphore(6)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(refused(turns, socket, mode, line, REPLIES[line])) for line in lines
        ]
    assert not (wrong := [one for task in tasks for one in task.result()]), "\n".join(wrong)
    away = [line for line in caplog.messages if "Redis is away" in line or "denies access" in line]
    assert len(away) == sum(bool(REPLIES[line]) for line in lines), "\n".join(away)


async def test_a_script_that_is_refused_while_a_ping_passes_does_not_flap(
    private_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis was suspended and connected again at each call, hundreds of times a second."""
    line = "ERR ACL failure in script: User app has no permissions to run the 'zcount' command"
    async with (
        RedisProxy(private_server.removeprefix("unix://")) as proxy,
        ServiceRegistry(url=proxy.url, settings=SETTINGS, namespace="flaps") as registry,
    ):
        register(registry)
        await registry.flush()
        await registry.call("h", "memory", ask)
        store = await registry._session.store()
        sha = store._calls._scripts["slot_take"].sha.encode()
        states: list[str] = []
        connectivity = registry._parts.connectivity
        connectivity.on_change(lambda: states.append(connectivity.state))

        def refuses(words: Words) -> str | None:
            return line if len(words) > 1 and words[1] == sha else None

        proxy.refuses = refuses
        with caplog.at_level(logging.INFO):
            end = asyncio.get_running_loop().time() + 1.0
            while asyncio.get_running_loop().time() < end:
                assert await registry.call("h", "memory", ask) == "an answer"
                assert "+zcount is missing" in registry.health().error
                await asyncio.sleep(0.005)
            assert states.count("connected") <= 4, states
            assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1
            proxy.accept_all()
            await async_wait_until(lambda: registry.health().ok)
            await registry.call("h", "memory", ask)
            assert registry.health().error == ""
            assert registry.health().outages == 1
        assert [one for one in caplog.messages if one.startswith("Redis is back")]
