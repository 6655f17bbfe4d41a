"""Agent processes that tests borrow one after another: starting one takes half a second."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from tests.fleet.agent import Agent
from tests.fleet.work.state import join, leave

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.fleet.work.state import AgentState

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Team:
    """The processes that one test has borrowed, each with a registry of its own.

    What they run gets it as ``agent.registry``, and the breaker of the provider ``shared`` of the
    service type ``llm`` as ``agent.handle``.
    """

    def __init__(self, agents: list[Agent]) -> None:
        self.agents = agents

    def __getitem__(self, index: int) -> Agent:
        return self.agents[index]

    def __iter__(self) -> Iterator[Agent]:
        return iter(self.agents)

    def __len__(self) -> int:
        return len(self.agents)

    def all(
        self,
        work: Callable[Concatenate[AgentState, _P], Awaitable[_R]],
        *args: _P.args,
        **named: _P.kwargs,
    ) -> list[_R]:
        """Run the same in every process, at once."""
        self.begin(work, *args, **named)
        return self.end()

    def begin(
        self,
        work: Callable[Concatenate[AgentState, _P], Awaitable[object]],
        *args: _P.args,
        **named: _P.kwargs,
    ) -> None:
        """Begin to run the same in every process."""
        for agent in self.agents:
            agent.begin(work, *args, **named)

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
        team = Team(agents)
        for agent, process_id in zip(agents, team.all(join, settings, options), strict=True):
            agent._process_id = process_id
        return team

    def give_back(self, team: Team) -> None:
        """Close the registries of a team; a killed process is not replaced."""
        living = [agent for agent in team if agent._process.poll() is None]
        for agent in living:
            agent.signal(signal.SIGCONT)
            agent.begin(leave)
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


def _forget(agent: Agent) -> None:
    agent._process.wait()
    for pipe in (agent._process.stdin, agent._process.stdout):
        if pipe is not None:
            pipe.close()
