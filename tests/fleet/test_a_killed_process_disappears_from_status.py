"""A process killed with -9 is gone from ``ciris-registry status`` within a lease."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.fleet.agent import Agent, Fleet
from tests.fleet.work import breakers, providers
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.fleet.shared_state import SharedState

LEASE = 3.0
HEARTBEAT = 0.5


def llm(url: str) -> dict[str, Any]:
    """The service type as ``ciris-registry status --json`` has it."""
    done = subprocess.run(
        [sys.executable, "-m", "ciris_registry", "status", "--json", "--type", "llm"],
        env={**os.environ, "CIRIS_REGISTRY_URL": url},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(done.stdout)["service_types"][0]
    return found


def members(url: str, name: str) -> set[int]:
    """The processes that are members of a provider."""
    return {
        member["pid"]
        for one in llm(url)["registrations"]
        if one["name"] == name
        for member in one["members"]
    }


def test_a_killed_process_disappears_and_its_shared_provider_stays(
    real_url: str, shared: SharedState
) -> None:
    settings = {"lease": LEASE, "heartbeat_interval": HEARTBEAT}
    with Fleet(real_url, 2, settings=settings) as fleet:
        stays, dies = fleet.agents
        fleet.all(providers.register_shared_and_own)
        assert members(real_url, "shared") == {stays.pid, dies.pid}
        assert members(real_url, f"own-{dies.process_id}") == {dies.pid}

        dies.kill()
        wait_until(lambda: set(shared.members("")) == {stays.process_id})
        shown = llm(real_url)
        assert {one["name"] for one in shown["registrations"]} >= {"shared"}
        assert all(
            member["pid"] != dies.pid for one in shown["registrations"] for member in one["members"]
        )


def test_the_breaker_is_shown_after_the_last_member_died(
    real_url: str, shared: SharedState
) -> None:
    settings = {"lease": 0.5, "heartbeat_interval": 0.1}
    agent = Agent(real_url, settings=settings)
    agent.run(providers.register_shared_and_own)
    agent.run(breakers.flush_failures, 5)
    agent.kill()
    agent.close()
    wait_until(lambda: shared.now() > max(shared.members("").values(), default=0))
    shown = llm(real_url)
    assert [one["members"] for one in shown["registrations"]] in ([], [[], []])
    breaker = next(one for one in shown["breakers"] if one["name"] == "shared")
    assert (breaker["state"], breaker["refused"]) == ("open", "open")
