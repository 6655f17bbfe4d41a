"""A program that loses its registry is told so once, and nothing of it goes on."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import redis

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = RegistrySettings(store_timeout=5.0)


class Client:
    """A provider."""


def connections(url: str) -> int:
    """How many clients the server has, without the one that asks."""
    with redis.Redis.from_url(url) as client:
        found: Any = client.client_list()
        return len(found) - 1


async def used(url: str, *, work: str) -> None:
    """Use a registry, and drop it."""
    registry = ServiceRegistry(url=url, settings=SETTINGS)
    name = registry.register("h", "llm", Client())
    assert await registry.get_service("h", "llm") is not None
    breaker = registry.breaker("llm", name)
    if work == "successes are pending":
        breaker.record_success()
    elif work == "a failure is on its way":
        breaker.record_failure()
        await asyncio.sleep(0)
    elif work == "the handle outlives it":
        used.handle = breaker  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "work",
    ["nothing", "successes are pending", "a failure is on its way", "the handle outlives it"],
)
async def test_a_registry_that_is_dropped_says_so_and_leaves_no_task_and_no_connection(
    real_url: str, work: str
) -> None:
    tasks, before = asyncio.all_tasks(), connections(real_url)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        await used(real_url, work=work)
        gc.collect()
        await async_wait_until(lambda: asyncio.all_tasks() == tasks)
        await async_wait_until(lambda: connections(real_url) <= before)
        gc.collect()
    assert [str(one.message) for one in told if one.category is ResourceWarning] != []
    assert all("dropped without aclose()" in str(one.message) for one in told), told
    assert len(told) == 1


async def test_one_that_is_closed_is_dropped_without_a_word(real_url: str) -> None:
    tasks, before = asyncio.all_tasks(), connections(real_url)
    registry = ServiceRegistry(url=real_url, settings=SETTINGS)
    registry.register("h", "llm", Client())
    await registry.get_service("h", "llm")
    await registry.aclose()
    del registry
    gc.collect()
    assert asyncio.all_tasks() == tasks
    await async_wait_until(lambda: connections(real_url) <= before)


NEVER_CLOSED = """
import asyncio, sys
from ciris_registry import ServiceRegistry, SelectionStrategy

registry = ServiceRegistry(url=sys.argv[1])

class Client:
    pass

async def main():
    for _ in range(3):
        registry.register("h", "llm", Client(), strategy=SelectionStrategy.ROUND_ROBIN)
    for turn in range(100):
        await registry.get_service("h", "llm")
        for one in registry.get_provider_info()["handlers"]["h"]["llm"]:
            registry.breaker("llm", one["name"]).record_success()
    {last}

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "last",
    ["await asyncio.sleep(0.05)", "pass", "registry.register('h', 'new', Client())", "sys.exit(0)"],
)
def test_a_program_that_never_closes_ends_quietly(real_url: str, tmp_path: Path, last: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(NEVER_CLOSED.format(last=last)))
    ended = subprocess.run(
        [sys.executable, "-W", "error", program, real_url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
