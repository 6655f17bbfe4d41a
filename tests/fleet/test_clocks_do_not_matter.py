"""One process an hour ahead and one an hour behind behave like every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.agent import Agent
from tests.fleet.work import breakers, clocks, registries
from tests.running import ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.shared_state import SharedState

SHIFTED_CLOCK = ROOT / "tests" / "programs" / "shifted_clock"
"""On the path of a process, it shifts the process's clock."""


@pytest.fixture
def ahead_right_behind(real_url: str) -> Iterator[list[Agent]]:
    agents = []
    for hours in (1, 0, -1):
        shifted = {"PYTHONPATH": str(SHIFTED_CLOCK), "CIRIS_TEST_HOURS": str(hours)}
        settings = {"lease": 1.0, "store_timeout": 5.0}
        agents.append(Agent(real_url, env=shifted, settings=settings, consistency="exact"))
    yield agents
    for agent in agents:
        agent.close()


def test_opening_recovery_cooldown_override_and_lease_go_by_the_servers_clock(
    ahead_right_behind: list[Agent], shared: SharedState
) -> None:
    agents = ahead_right_behind
    times = [agent.run(clocks.register) for agent in agents]
    assert 3000 < times[0] - times[1] < 4000 > times[1] - times[2] > 3000

    # Failures of all of them count, and the fifth opens it for all.
    answers = [agents[turn % 3].run(breakers.arecord_failure) for turn in range(5)]
    assert answers == ["closed"] * 4 + ["open"]
    opened = int(shared.breaker()["opened_at"])
    assert int(shared.breaker()["retry_at"]) - opened == 300

    # The first process that asks after the recovery timeout gets the one permit.
    wait_until(lambda: shared.now() >= opened + 300)
    assert [agent.run(registries.find) for agent in agents] == [True, False, False]
    assert agents[0].run(breakers.arecord_success) == "closed"
    assert [agent.run(registries.find) for agent in agents] == [True] * 3

    # A cooldown and an override end for all of them at the same moment.
    for turn, begin in enumerate([clocks.cool_down, clocks.force_open]):
        agents[2 * turn].run(begin)
        ends = max(int(shared.breaker()[field]) for field in ("cooldown_until", "override_until"))
        found = [agent.run(registries.find) for agent in agents]
        assert found == [False] * 3 or shared.now() >= ends
        wait_until(lambda ends=ends: shared.now() >= ends)  # type: ignore[misc]
        assert [agent.run(registries.find) for agent in agents] == [True] * 3

    # No lease ends while its process lives.
    began = shared.now()
    wait_until(lambda: shared.now() >= began + 1500)
    assert len(shared.members("shared")) == 3
    assert not shared.events("process_expired")
