"""A right that a user lacks reaches no caller, and ``health()`` names it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from tests.servers import Server
from tests.servers.every_operation import EveryOperation
from tests.servers.rights import LUXURIES, add_user, documented_commands

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
