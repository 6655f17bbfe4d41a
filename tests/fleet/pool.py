"""Agent processes that tests borrow one after another: starting one takes half a second."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from tests.fleet.agent import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator

_JOIN = """
    global registry, handle
    registry = ServiceRegistry(settings=RegistrySettings(**{settings!r}), **{options!r})
    handle = registry.breaker("llm", "shared")
    return registry.process_id
"""

_LEAVE = """
    try:
        await registry.aclose()
    except BaseException as error:
        return f"leaving failed: {error!r}"
    return "left"
"""


class Team:
    """The processes that one test has borrowed, each with a registry of its own.

    In what they run, ``registry`` is that registry and ``handle`` the breaker of the provider
    ``shared`` of the service type ``llm``.
    """

    def __init__(self, agents: list[Agent]) -> None:
        self.agents = agents

    def __getitem__(self, index: int) -> Agent:
        return self.agents[index]

    def __iter__(self) -> Iterator[Agent]:
        return iter(self.agents)

    def __len__(self) -> int:
        return len(self.agents)

    def all(self, body: str) -> list[Any]:
        """Run the same in every process, at once."""
        self.begin(body)
        return self.end()

    def begin(self, body: str) -> None:
        """Begin to run the same in every process."""
        for agent in self.agents:
            agent.begin(body)

    def end(self) -> list[Any]:
        """Wait for what every process has begun."""
        return [agent.end() for agent in self.agents]


class Pool:
    """Keeps the agent processes that are alive between tests."""

    def __init__(self) -> None:
        self._idle: list[Agent] = []

    def borrow(self, size: int, settings: dict[str, Any], options: dict[str, Any]) -> Team:
        """A team of this size; each process makes a new registry with these options."""
        agents = [self._idle.pop() for _ in range(min(size, len(self._idle)))]
        agents += [Agent("memory://") for _ in range(size - len(agents))]
        for agent, process_id in zip(agents, run(agents, _JOIN, settings, options), strict=True):
            agent._process_id = process_id
        return Team(agents)

    def give_back(self, team: Team) -> None:
        """Close the registries of a team; a killed process is not replaced."""
        living = [agent for agent in team if agent._process.poll() is None]
        for agent in living:
            agent.signal(signal.SIGCONT)
            agent.begin(_LEAVE)
        for agent in living:
            while (answer := agent._read().get("result")) != "left":
                # Else it is what a test that failed has not waited for.
                assert not str(answer).startswith("leaving failed"), answer
        self._idle += living
        for agent in team:
            if agent not in living:
                _forget(agent)

    def close(self) -> None:
        """End every process."""
        for agent in self._idle:
            assert agent.close() == 0


def run(agents: list[Agent], body: str, settings: object, options: object) -> list[Any]:
    """Fill in the settings and options of a registry, and run it everywhere at once."""
    for agent in agents:
        agent.begin(body.format(settings=settings, options=options))
    return [agent.end() for agent in agents]


def _forget(agent: Agent) -> None:
    agent._process.wait()
    for pipe in (agent._process.stdin, agent._process.stdout):
        if pipe is not None:
            pipe.close()
