"""A registry belongs to the process that made it: a fork or a pickle gets a clear error."""

from __future__ import annotations

import pickle

import pytest

from ciris_registry import ServiceRegistry
from tests.running import run


def test_a_forked_child_gets_an_error_and_its_parent_goes_on(real_url: str) -> None:
    refused = dict.fromkeys(["resolve", "again", "register", "flush"], True)
    found = {**refused, "collected": True, "new": "Client"}
    assert run("forks", real_url) == (0, f"{found}\n", "")


async def test_pickling_a_registry_raises_an_error_with_advice(real_url: str) -> None:
    async with ServiceRegistry(url=real_url) as registry:
        for _ in range(2):
            with pytest.raises(TypeError, match="create one in each process, with the same URL"):
                pickle.dumps(registry)


def test_a_registry_cannot_be_passed_to_a_spawned_process() -> None:
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=print, args=(ServiceRegistry(),))
    with pytest.raises(TypeError, match="a registry cannot be pickled"):
        process.start()
