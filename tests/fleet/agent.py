"""Agent processes: real operating-system processes that run functions for a test.

``Agent.run`` sends the name of an async function of ``tests.fleet.work``, which gets the state of
the process with its ``ServiceRegistry``; what it returns comes back as JSON.
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, cast

from tests.running import start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.fleet.work.state import AgentState

_P = ParamSpec("_P")
_R = TypeVar("_R")


class AgentError(AssertionError):
    """What an agent process raised."""


class Agent:
    """One agent process."""

    def __init__(self, url: str, *, env: Mapping[str, str] | None = None, **options: Any) -> None:
        self._process = start("agent_process", json.dumps({"url": url, **options}), **(env or {}))
        self.pid = self._process.pid
        self._process_id: str | None = None

    @property
    def process_id(self) -> str:
        """The id of its registry."""
        if self._process_id is None:
            self._process_id = str(self._read()["ready"])
        return self._process_id

    def run(
        self,
        work: Callable[Concatenate[AgentState, _P], Awaitable[_R]],
        *args: _P.args,
        **named: _P.kwargs,
    ) -> _R:
        """Run an async function there, and return what it returns."""
        self.begin(work, *args, **named)
        return cast("_R", self.end())

    def begin(
        self,
        work: Callable[Concatenate[AgentState, _P], Awaitable[object]],
        *args: _P.args,
        **named: _P.kwargs,
    ) -> None:
        """Begin to run it, and do not wait."""
        assert self.process_id
        assert self._process.stdin is not None
        where = f"{work.__module__}:{work.__qualname__}"
        self._process.stdin.write(json.dumps([where, args, named]) + "\n")
        self._process.stdin.flush()

    def end(self) -> Any:
        """Wait for what was begun."""
        answer = self._read()
        if "error" in answer:
            raise AgentError(answer["error"])
        return answer["result"]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> int:
        """Let it close its registry and end; its exit code."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        code = self._process.wait(timeout=20)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the agent process {self.pid} ended with {self._process.poll()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


class Fleet:
    """Several agent processes; they are gone when the block ends."""

    def __init__(self, url: str, size: int, **options: Any) -> None:
        self.agents = [Agent(url, **options) for _ in range(size)]

    def __enter__(self) -> Self:
        for agent in self.agents:
            assert agent.process_id
        return self

    def __exit__(self, *_: object) -> None:
        for agent in self.agents:
            if agent._process.poll() is None:
                agent.signal(signal.SIGCONT)
                agent.close()
            else:
                for pipe in (agent._process.stdin, agent._process.stdout):
                    if pipe is not None:
                        pipe.close()

    def all(
        self,
        work: Callable[Concatenate[AgentState, _P], Awaitable[_R]],
        *args: _P.args,
        **named: _P.kwargs,
    ) -> list[_R]:
        """Run the same in every process, at once."""
        for agent in self.agents:
            agent.begin(work, *args, **named)
        return [agent.end() for agent in self.agents]
