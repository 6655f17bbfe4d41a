"""One process an hour ahead and one an hour behind behave like every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.agent import Agent
from tests.running import ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.shared_state import SharedState

SHIFTED_CLOCK = ROOT / "tests" / "programs" / "shifted_clock"
"""On the path of a process, it shifts the process's clock."""

REGISTER = """
    global handle
    quick = CircuitBreakerConfig(recovery_timeout=0.3, success_threshold=1)
    registry.register_global("llm", Client(), name="shared", circuit_breaker_config=quick)
    await registry.flush()
    handle = registry.breaker("llm", "shared")
    return time.time()
"""
FIND = "return await registry.get_service('h', 'llm') is not None"
FAIL = "return (await handle.arecord_failure()).value"


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
    clocks = [agent.run(REGISTER) for agent in agents]
    assert 3000 < clocks[0] - clocks[1] < 4000 > clocks[1] - clocks[2] > 3000

    # Failures of all of them count, and the fifth opens it for all.
    answers = [agents[turn % 3].run(FAIL) for turn in range(5)]
    assert answers == ["closed"] * 4 + ["open"]
    opened = int(shared.breaker()["opened_at"])
    assert int(shared.breaker()["retry_at"]) - opened == 300

    # The first process that asks after the recovery timeout gets the one permit.
    wait_until(lambda: shared.now() >= opened + 300)
    assert [agent.run(FIND) for agent in agents] == [True, False, False]
    assert agents[0].run("return (await handle.arecord_success()).value") == "closed"
    assert [agent.run(FIND) for agent in agents] == [True] * 3

    # A cooldown and an override end for all of them at the same moment.
    for turn, begin in enumerate(
        ["await handle.acool_down(0.4)", "await handle.aforce_open('test', 0.4)"]
    ):
        agents[2 * turn].run(begin)
        ends = max(int(shared.breaker()[field]) for field in ("cooldown_until", "override_until"))
        found = [agent.run(FIND) for agent in agents]
        assert found == [False] * 3 or shared.now() >= ends
        wait_until(lambda ends=ends: shared.now() >= ends)  # type: ignore[misc]
        assert [agent.run(FIND) for agent in agents] == [True] * 3

    # No lease ends while its process lives.
    began = shared.now()
    wait_until(lambda: shared.now() >= began + 1500)
    assert len(shared.members("shared")) == 3
    assert not shared.events("member_expired")
