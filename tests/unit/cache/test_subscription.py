"""A subscription to events, and what it costs Redis."""

from __future__ import annotations

from tests.running import QUIETLY, run


def test_fifty_events_are_read_on_one_connection(real_url: str) -> None:
    assert run("reads_events_on_one_connection", real_url) == QUIETLY
