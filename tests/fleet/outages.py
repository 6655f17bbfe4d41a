"""How a test waits for a state of Redis in its processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.fleet.work import registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.fleet.pool import Team

STORE_TIMEOUT: Final = 0.05


def wait_for_away(team: Team) -> None:
    """Wait until Redis is suspended or lost for every process."""
    wait_until(lambda: "connected" not in team.all(registries.redis_state))


def wait_for(team: Team, state: str, timeout: float = 15) -> None:
    """Wait until the connectivity of every process has this state."""
    wait_until(lambda: team.all(registries.redis_state) == [state] * len(team), timeout)
