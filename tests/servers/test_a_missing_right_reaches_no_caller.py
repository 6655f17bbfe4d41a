"""A right that a user lacks reaches no caller, and ``health()`` names it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    RegistrySettings,
    ServiceRegistry,
    StoreUnavailableError,
)
from ciris_registry.store.keys import TypeKeys
from tests.servers import Server
from tests.servers.every_operation import EveryOperation
from tests.servers.rights import LUXURIES, add_user, documented_commands
from tests.waiting import PATIENCE, async_wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE: Final = 4
"""Users that work at one time; each has two registries."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this file's own, whose users it makes."""
    with Server() as one:
        yield one


@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_without_the_luxuries_everything_works(server: Server, mode: str) -> None:
    url = add_user(server, without=LUXURIES)
    await EveryOperation(url, f"plain-{mode}", mode).run()


@pytest.mark.outage_run
@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_a_missing_right_reaches_no_caller_and_health_names_it(
    server: Server, mode: str
) -> None:
    """Calls raised StoreError, and `health()` reported Redis as connected."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def work_without(command: str) -> str:
        async with turns:
            url = add_user(server, without={command})
            operations = EveryOperation(url, f"no-{command}-{mode}", mode, write_timeout=0.2)
            return await operations.problem_without(command)

    server.ask("SCRIPT", "FLUSH")
    problems = {"eval": await work_without("eval")}  # alone: others would load the scripts
    needed = sorted(documented_commands() - LUXURIES - {"eval"})
    found = await asyncio.gather(*(work_without(one) for one in needed))
    problems |= dict(zip(needed, found, strict=True))
    assert {one: problem for one, problem in problems.items() if problem} == {}


SETTINGS: Final = RegistrySettings(
    lease=30.0,
    heartbeat_interval=0.2,
    max_staleness=0.3,
    store_timeout=2.0,
    success_report_interval=0.02,
    write_timeout=0.2,
    breaker=CircuitBreakerConfig(failure_threshold=100, minimum_calls=100),
)
FAILURES: Final = 4
"""How many calls of each process fail while it lacks the right."""


class AwayError(Exception):
    """What the provider raises."""


async def fails(_instance: object) -> None:
    raise AwayError


async def use(registry: ServiceRegistry) -> None:
    """Register, resolve, call; only the provider's own error is expected."""
    registry.register_global("llm", object(), name=f"own-{registry.process_id[-6:]}")
    registry.register_global("llm", object(), name="shared", priority="CRITICAL")
    for _ in range(FAILURES):
        assert await registry.get_service("chat", "llm") is not None
        with pytest.raises(AwayError):
            await registry.call("chat", "llm", fails)
    with contextlib.suppress(StoreUnavailableError):
        await registry.breaker("llm", "shared").aforce_close("no end: it needs PERSIST")


async def lose_and_get_back(server: Server, command: str, mode: Any) -> list[str]:
    """What is wrong while a fleet lacks the right to a command, and when it has it again."""
    user = namespace = f"{command}-comes-back-{mode}"
    url, keys = add_user(server, name=user), TypeKeys(namespace, "llm")
    fleet = [
        ServiceRegistry(url=url, namespace=namespace, settings=SETTINGS, consistency=mode)
        for _ in range(2)
    ]
    old, new = fleet
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(old)
        old.register_global("llm", object(), name="shared")
        await old.flush()
        server.ask("ACL", "SETUSER", user, f"-{command}")
        await use(old)
        await stack.enter_async_context(new)
        await use(new)
        said = new.health().error
        named = re.search(rf"\+{re.escape(command)}\b", said)
        wrong = [] if named else [f"health() says {said!r}"]
        server.ask("ACL", "SETUSER", user, f"+{command}")
        for one in fleet:
            await one._parts.connectivity.wait_connected(PATIENCE)
            await one.flush()
        registered = set(server.ask("ZRANGE", keys.registrations, 0, -1))
        if registered != {"shared", *(f"own-{one.process_id[-6:]}" for one in fleet)}:
            wrong.append(f"registered is {registered}")
        if set(server.ask("SMEMBERS", keys.holders("shared"))) != {one.process_id for one in fleet}:
            wrong.append("a process does not hold what it has registered")

        def failures() -> str:
            return str(server.ask("HGET", keys.breaker("shared"), "total_failures"))

        with contextlib.suppress(AssertionError):
            await async_wait_until(lambda: failures() == str(2 * FAILURES), timeout=2.0)
        await asyncio.sleep(0.05)
        if failures() != str(2 * FAILURES):
            wrong.append(f"{failures()} failures are counted")
    return [f"{command}: {one}" for one in wrong]


@pytest.mark.long_run
@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_when_a_right_is_given_back_everything_arrives(server: Server, mode: str) -> None:
    """A running fleet loses each right in turn, calls, registers, and gets the right back."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def turn(command: str) -> list[str]:
        async with turns:
            return await lose_and_get_back(server, command, mode)

    server.ask("SCRIPT", "FLUSH")
    wrong = await lose_and_get_back(server, "eval", mode)  # alone: others would load the scripts
    needed = sorted(documented_commands() - LUXURIES - {"eval"})
    for problems in await asyncio.gather(*map(turn, needed)):
        wrong += problems
    assert not wrong, "\n".join(wrong)
