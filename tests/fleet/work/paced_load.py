"""Processes that call providers of several service types at a steady pace, and time each call."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from ciris_registry import CircuitBreakerConfig, Priority
from tests.fleet.work.state import Client

if TYPE_CHECKING:
    from tests.fleet.work.state import AgentState

TYPES: Final = ("llm", "memory", "audit", "tool", "communication", "search")
"""With eight partitions they lie in several of them."""

_TICK: Final = 0.005
"""Seconds between two looks at how late the event loop is."""


class PacedLoad:
    """Calls each service type in turn, ``rate`` calls a second; counts what was called.

    ``worst`` is the longest call without the time for which the event loop stood still, ``lag`` the
    longest such time.
    """

    def __init__(self, agent: AgentState, rate: float, types: list[str]) -> None:
        self._registry = agent.registry
        self._types = types
        self._pause = 1 / rate
        self._going = True
        self.done = dict.fromkeys(types, 0)
        self.errors: list[str] = []
        self.worst = dict.fromkeys(types, 0.0)
        self.lag = 0.0
        self._lags: list[float] = []
        self._running: set[asyncio.Task[None]] = set()
        self._tasks = [asyncio.ensure_future(self._watch()), asyncio.ensure_future(self._call())]

    async def end(self) -> None:
        """Stop calling."""
        self._going = False
        await asyncio.gather(*self._tasks, *self._running)

    async def _watch(self) -> None:
        while self._going:
            began = time.perf_counter()
            await asyncio.sleep(_TICK)
            late = time.perf_counter() - began - _TICK
            self._lags.append(late)
            self.lag = max(self.lag, late)

    async def _call(self) -> None:
        due, number = time.perf_counter(), 0
        while self._going:
            kind = self._types[number % len(self._types)]
            task = asyncio.ensure_future(self._call_once(kind))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            number, due = number + 1, due + self._pause
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _call_once(self, kind: str) -> None:
        async def answer(client: Client) -> str:
            return client.name

        began, first = time.perf_counter(), len(self._lags)
        try:
            name = await self._registry.call("h", kind, answer)
        except Exception as error:  # noqa: BLE001 # the test shows it
            self.errors.append(f"{kind}: {type(error).__name__}: {error}")
        else:
            self.done[kind] += name == "second"
        took = time.perf_counter() - began
        await asyncio.sleep(_TICK)  # a lag is known when it is over
        self.worst[kind] = max(self.worst[kind], took - max(self._lags[first:], default=0.0))


async def register(agent: AgentState) -> None:
    """Register ``first``, which is open, and ``second`` in each service type."""
    config = CircuitBreakerConfig(recovery_timeout=600, failure_rate_threshold=None)
    for kind in TYPES:
        for name, priority in (("first", Priority.HIGH), ("second", Priority.LOW)):
            agent.registry.register_global(
                kind, Client(name), priority, name=name, circuit_breaker_config=config
            )
    await agent.registry.flush()
    for kind in TYPES:
        assert await agent.registry.get_service("h", kind) is not None


async def open_first(agent: AgentState) -> None:
    """Open the breaker of each ``first`` by its failures."""
    for kind in TYPES:
        for _ in range(5):
            await agent.registry.breaker(kind, "first").arecord_failure()


async def states(agent: AgentState) -> list[str]:
    """The states of the breakers of ``first``, each once."""
    return sorted({str(agent.registry.breaker(kind, "first").state) for kind in TYPES})


async def begin(agent: AgentState, rate: float, types: list[str] | None = None) -> None:
    """Begin to call."""
    agent.keep(PacedLoad(agent, rate, types or list(TYPES)))


async def seen(agent: AgentState) -> dict[str, Any]:
    """What was seen until now, and which partitions are not connected."""
    load = agent.kept(PacedLoad)
    partitions = agent.registry.health().partitions
    return {
        "done": dict(load.done),
        "errors": load.errors[:5],
        "worst": dict(load.worst),
        "lag": load.lag,
        "away": [index for index, state in partitions.items() if state != "connected"],
    }


async def forget(agent: AgentState) -> None:
    """Time the calls from now on."""
    load = agent.kept(PacedLoad)
    load.worst, load.lag = dict.fromkeys(load.worst, 0.0), 0.0


async def end(agent: AgentState) -> dict[str, Any]:
    """Stop calling; what was seen."""
    await agent.kept(PacedLoad).end()
    return await seen(agent)


async def flush(agent: AgentState) -> None:
    """Let Redis know all."""
    await agent.registry.flush()


async def successes(agent: AgentState) -> dict[str, int]:
    """How many successes of ``second`` Redis has counted, by service type."""
    await agent.registry.refresh()
    return {
        kind: int(agent.registry.breaker(kind, "second").get_stats()["total_successes"])
        for kind in TYPES
    }


async def partitions(agent: AgentState) -> dict[str, int]:
    """The partition of each service type."""
    return {kind: agent.registry._partitions.of(kind).index for kind in TYPES}
