"""A registry that is dropped without aclose warns once, and nothing of it keeps running."""

from __future__ import annotations

import pytest

from tests.running import QUIETLY, run


@pytest.mark.parametrize(
    "work",
    ["nothing", "successes are pending", "a failure is on its way", "the handle outlives it"],
)
def test_a_dropped_registry_warns_and_leaves_no_task_and_no_connection(
    real_url: str, work: str
) -> None:
    assert run("drops_its_registry", real_url, work) == QUIETLY


def test_a_closed_registry_is_dropped_without_a_warning(real_url: str) -> None:
    """It failed now and then: it counted tasks of clients that another test had dropped."""
    assert run("closes_its_registry", real_url) == QUIETLY


@pytest.mark.parametrize("last", ["sleeps", "nothing", "registers", "exits"])
def test_a_program_that_never_closes_ends_without_output(real_url: str, last: str) -> None:
    assert run("never_closes", real_url, last) == QUIETLY
