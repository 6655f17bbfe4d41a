"""Redis loses an open breaker again and again: no process calls the dead provider for that.

Its recovery timeout is so long that no probe is due: a call that reaches the provider was admitted
by a breaker that was closed in Redis for a moment.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import redis

from tests.fleet.shared_state import SharedState
from tests.fleet.work import breakers, dead_provider, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

PER_SECOND = 20.0
SHORT = 5
SIZES = [
    pytest.param(4, SHORT, id="short"),
    pytest.param(12, 100, marks=[pytest.mark.outage_run, pytest.mark.timeout(600)], id="long"),
]


def calling_team(borrow: Callable[..., Team], url: str, mode: str, size: int) -> Team:
    """Processes that call a provider whose breaker is open, and that all know it."""
    team = borrow(size, url, mode, lease=3.0, heartbeat_interval=0.5)
    team.all(dead_provider.register, 600.0, 5.0)
    team[0].run(breakers.arecord_failures, 5)
    team.all(registries.refresh)
    team.all(dead_provider.begin, PER_SECOND, 0.03)
    team.all(dead_provider.reached)
    return team


@pytest.mark.parametrize("mode", ["cached", "exact"])
@pytest.mark.parametrize(("size", "losses"), SIZES)
def test_flushed_while_a_breaker_is_open(
    server: Server, borrow: Callable[..., Team], mode: str, size: int, losses: int
) -> None:
    team = calling_team(borrow, server.url, mode, size)
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        for _ in range(losses):
            client.flushall()
            wait_until(lambda: shared.state() == "open")
            time.sleep(0.1)  # the calls go on for two rounds
    check(team, losses)


@pytest.mark.parametrize("mode", ["cached", "exact"])
@pytest.mark.parametrize(("size", "losses"), SIZES)
def test_restarted_empty_while_a_breaker_is_open(
    server: Server, borrow: Callable[..., Team], mode: str, size: int, losses: int
) -> None:
    losses = losses if losses > SHORT else 1
    team = calling_team(borrow, server.url, mode, size)
    for _ in range(losses):
        server.kill()
        server.start()
        with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
            shared = SharedState(client)
            wait_until(lambda: shared.state() == "open")  # noqa: B023 # it waits here
            time.sleep(0.1)
    check(team, losses)


def check(team: Team, losses: int) -> None:
    reached = [call for calls in team.all(dead_provider.reached) for call in calls]
    refused = sum(team.all(dead_provider.refused))
    team.all(dead_provider.end)
    print(f"{losses} losses: {refused} calls refused, {len(reached)} reached the provider")  # noqa: T201 # what was measured
    assert reached == []
    assert refused > losses
