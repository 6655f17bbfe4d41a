"""The real server under test, of which each test process uses a database of its own.

It is ``CIRIS_TEST_REDIS_URL``, where set. The first process uses the database that the URL names,
the others use the next ones; all of these databases are emptied again and again.
"""

from __future__ import annotations

import os
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import redis

VARIABLE: Final = "CIRIS_TEST_REDIS_URL"


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
