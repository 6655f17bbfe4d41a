"""A program that never calls ``aclose()`` ends by itself: with 0, at once and without output.

All warnings are errors in these programs, so a connection that is left open would cause output.
"""

from __future__ import annotations

import pytest
import redis

from tests.programs.ends_without_closing import WAYS
from tests.running import QUIETLY, place_for_servers, run


def end(url: str, way: str) -> None:
    with place_for_servers() as folder:
        assert run("ends_without_closing", url, way, TMPDIR=str(folder)) == QUIETLY


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_by_itself_whatever_it_did_last(way: str, real_url: str) -> None:
    end(real_url, way)


@pytest.mark.parametrize("way", ["nothing_was_awaited", "opened_a_breaker", "used_two_event_loops"])
def test_it_ends_by_itself_without_a_server(way: str) -> None:
    end("memory://", way)


def test_it_ends_by_itself_with_an_embedded_server() -> None:
    end("embedded://", "opened_a_breaker")


def test_the_writes_of_its_last_line_reach_redis(real_url: str) -> None:
    end(real_url, "opened_a_breaker_and_did_not_wait")
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        assert client.hget("ciris:v2:{default/0}:llm:breaker:a", "state") == "open"
