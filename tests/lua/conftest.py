"""Servers for the scripts, on fakeredis and real, that follow the test's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.lua.lua_server import Clock, LuaServer, RealServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, which fakeredis follows."""
    clock = Clock()
    monkeypatch.setattr(time, "time", clock.seconds)
    return clock


@pytest.fixture
def moved_real_server(real_server: str, clock: Clock, tmp_path: Path) -> Iterator[LuaServer]:
    """A real server, empty before and after, whose scripts follow the test's clock."""
    server = RealServer(clock, real_server, tmp_path)
    server.begin()
    yield server
    server.begin()
    server.client.close()


@pytest.fixture(params=["fakeredis", "real"])
def server(request: pytest.FixtureRequest, clock: Clock) -> LuaServer:
    """An empty server; a test that uses it runs on both."""
    if request.param == "real":
        real: LuaServer = request.getfixturevalue("moved_real_server")
        return real
    return LuaServer(clock)
