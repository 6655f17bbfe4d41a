"""Fleets of real processes, and servers that may be killed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import server_under_test
from tests.fleet.pool import Pool, Team
from tests.fleet.server import Server
from tests.fleet.shared_state import SharedState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """The agent processes of this test process; started when first needed."""
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def borrow(pool: Pool) -> Iterator[Callable[..., Team]]:
    """Borrows processes: how many, the URL, settings of their registries by name.

    They are exact, with a long store_timeout for a busy machine, unless a test sets otherwise.
    """
    teams: list[Team] = []

    def borrowed(size: int, url: str, consistency: str = "exact", **settings: Any) -> Team:
        settings = {"store_timeout": 5.0, **settings}
        teams.append(pool.borrow(size, settings, {"url": url, "consistency": consistency}))
        return teams[-1]

    yield borrowed
    for team in teams:
        pool.give_back(team)


@pytest.fixture
def mode() -> str:
    """The mode of a fleet; what is tested in both has it as a parameter."""
    return "exact"


@pytest.fixture
def fleet(borrow: Callable[..., Team], real_url: str, mode: str) -> Callable[..., Team]:
    """Borrows processes that share the real server under test."""
    return lambda size, **settings: borrow(size, real_url, **{"consistency": mode, **settings})


@pytest.fixture
def shared(real_url: str) -> Iterator[SharedState]:
    """The keys of the real server under test."""
    with server_under_test.client(real_url, decode_responses=True) as client:
        yield SharedState(client)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test's own, running."""
    # Not tmp_path: with a test's name in it, it is too long for a socket.
    directory = Path(tempfile.mkdtemp(prefix="ciris-test-"))
    server = Server(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)
