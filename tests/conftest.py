"""One set of fixtures for every test: where the state lives, on an imitation and on a real server.

The real server is ``CIRIS_TEST_REDIS_URL`` (see ``server_under_test``), else a private Valkey.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import RegistrySettings, ServiceRegistry
from ciris_registry.store.connection.embedded import EmbeddedServer
from tests import server_under_test
from tests.xdist_scheduler import Scheduling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

LONG = ("long", "long_run", "outage_run")
NEVER = -1
"""What TTL says of a key that does not expire; -2 of one that has gone meanwhile."""


def pytest_configure(config: pytest.Config) -> None:
    """Say at once that a server was named which cannot be used."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts background jobs like that, and every program that is started inherits it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if server_under_test.given_url() and not hasattr(config, "workerinput"):
        try:
            server_under_test.check(len(getattr(config.option, "tx", None) or ["popen"]))
        except server_under_test.UnusableServerError as error:
            raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Tests that share something costly run in one test process."""
    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that nobody waits for it in the end."""
    items.sort(key=lambda item: not set(LONG) & {mark.name for mark in item.iter_markers()})


@pytest.fixture(scope="session")
def private_server() -> Iterator[str]:
    """The URL of a real server that belongs to this test process alone."""
    with _new_server() as url:
        yield url


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[str]:
    """The URL of a real server that no other test file uses: its commands are counted."""
    with _new_server() as url:
        yield url


@contextlib.contextmanager
def _new_server() -> Iterator[str]:
    if server_under_test.is_named():
        with server_under_test.started() as url:
            yield url
        return
    directory = Path(tempfile.mkdtemp(prefix="ciris-test-"))
    server = EmbeddedServer(directory / "server")
    try:
        yield f"unix://{server.acquire()}"
    finally:
        server.release()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def real_server(request: pytest.FixtureRequest) -> str:
    """The URL of the real server under test, with this test process's database."""
    if server_under_test.given_url():
        return server_under_test.own_url()
    return str(request.getfixturevalue("private_server"))


@pytest.fixture
def real_url(real_server: str) -> Iterator[str]:
    """A real server with an empty database; afterwards, every key left must expire."""
    with server_under_test.client(real_server, decode_responses=True) as client:
        client.flushdb()
        yield real_server
        immortal = [key for key in client.scan_iter() if client.ttl(key) == NEVER]
    assert not immortal, f"these keys never expire: {immortal}"


@pytest.fixture(params=["real"] if server_under_test.is_named() else ["memory", "real"])
def url(request: pytest.FixtureRequest) -> str:
    """Where the state lives; a test that uses it runs on both, or on the server that is named."""
    if request.param == "real":
        return str(request.getfixturevalue("real_url"))
    return f"memory://test-{secrets.token_hex(6)}"


@pytest.fixture
async def new_registry(url: str) -> AsyncIterator[Callable[..., ServiceRegistry]]:
    """Makes registries that share one state, and closes them.

    They are exact unless a test says otherwise, so that what one does is what the next one sees.
    """
    made: list[ServiceRegistry] = []

    def new(**options: Any) -> ServiceRegistry:
        settings = options.pop("settings", None) or RegistrySettings(
            write_timeout=1.0, store_timeout=5.0
        )
        registry = ServiceRegistry(
            **{"url": url, "settings": settings, "consistency": "exact", **options}
        )
        made.append(registry)
        return registry

    yield new
    for registry in made:
        await registry.aclose()


@pytest.fixture
def registry(new_registry: Callable[..., ServiceRegistry]) -> ServiceRegistry:
    """One registry."""
    return new_registry()
