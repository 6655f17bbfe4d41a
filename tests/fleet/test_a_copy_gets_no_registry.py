"""A registry belongs to the process that made it: a fork or a pickle is told so."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from ciris_registry import ServiceRegistry

if TYPE_CHECKING:
    from pathlib import Path

FORK = """
import asyncio, gc, multiprocessing, os, sys
from ciris_registry import ServiceRegistry, get_global_registry
from ciris_registry.errors import ForkedError

os.environ["CIRIS_REGISTRY_URL"] = sys.argv[1]

class Client:
    pass

def told(work):
    try:
        work()
    except ForkedError as error:
        assert str(os.getppid()) in str(error), error
        return True
    return False

def child(registry, name, parents_id, answers):
    async def resolve(asked):
        return await asked.get_service("h", "llm")
    async def fresh():
        own = get_global_registry()
        assert own.process_id != parents_id
        assert str(os.getpid()) in own.process_id
        async with own:
            own.register("h", "llm", Client(), name="childs")
            return type(await own.get_service("h", "llm", consistency="exact")).__name__
    answers.put({
        "resolve": told(lambda: asyncio.run(resolve(registry))),
        "again": told(lambda: asyncio.run(resolve(registry))),
        "register": told(lambda: registry.register("h", "llm", Client())),
        "flush": told(lambda: asyncio.run(registry.flush())),
        "collected": gc.collect() >= 0,  # what the parent goes on using stays whole
        "new": asyncio.run(fresh()),
    })

async def main():
    registry = get_global_registry()
    client = Client()
    name = registry.register("h", "llm", client)
    for _ in range(3):
        assert await registry.get_service("h", "llm") is client
    breaker = registry.breaker("llm", name)
    breaker.record_success()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=child, args=(registry, name, registry.process_id, answers))
    process.start()
    while process.is_alive():
        assert await registry.get_service("h", "llm") is client
        breaker.record_success()
        await asyncio.sleep(0.01)
    assert process.exitcode == 0, process.exitcode
    print(answers.get())
    assert get_global_registry() is registry
    assert await registry.get_service("h", "llm", consistency="exact") is client
    await registry.flush()
    assert registry.health().ok and not registry.health().failures
    assert (await breaker.aget_stats())["total_failures"] == 0
    await registry.aclose()

asyncio.run(main())
"""


def test_a_forked_child_is_told_and_its_parent_goes_on(real_url: str, tmp_path: Path) -> None:
    program = tmp_path / "forks.py"
    program.write_text(textwrap.dedent(FORK))
    ended = subprocess.run(
        [sys.executable, "-W", "error", program, real_url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    told = dict.fromkeys(["resolve", "again", "register", "flush"], True)
    assert ended.stderr == ""
    assert ended.stdout.strip() == str({**told, "collected": True, "new": "Client"})
    assert ended.returncode == 0


async def test_a_pickled_one_says_what_to_do_instead(real_url: str) -> None:
    async with ServiceRegistry(url=real_url) as registry:
        for _ in range(2):
            with pytest.raises(TypeError, match="make one in each process, with its URL"):
                pickle.dumps(registry)


def test_a_process_that_is_spawned_cannot_be_given_one() -> None:
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=print, args=(ServiceRegistry(),))
    with pytest.raises(TypeError, match="a registry cannot be pickled"):
        process.start()
