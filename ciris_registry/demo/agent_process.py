"""The process of an agent: sends prompts at a steady rate, and reports each call to the parent.

It ends when its input ends.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from typing import TYPE_CHECKING, Final

from ciris_registry import RegistryError, ServiceRegistry
from ciris_registry.demo.agent import BREAKER, SERVICE, Agent
from ciris_registry.demo.client import Client
from ciris_registry.demo.messages import Call, Left, Ready, Refused, Start, View
from ciris_registry.local_fleet import open_stdin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_REFUSING: Final = {"breaker_opened", "breaker_cooldown_started"}
"""Events after which no process may call the provider."""

_MOST_CALLS: Final = 64


class AgentProcess:
    """One process of the fleet."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._registry = ServiceRegistry(url=start.url, namespace=start.namespace)
        self._clients = {name: Client(port, start.name) for name, port in start.upstreams.items()}
        made = _Disobedient if start.disobeys else Agent
        self._agent = made(self._registry, start.name, self._clients)
        self._views: dict[str, str] = {}
        self._subscription = self._registry.events(SERVICE)

    async def run(self, commands: asyncio.Queue[bytes]) -> None:
        """Join the fleet, send prompts from the first command to the second, and leave."""
        async with self._registry:
            following = asyncio.create_task(self._follow())
            Ready(process=self._registry.process_id).send()
            await commands.get()
            calling = asyncio.create_task(self._send_prompts())
            await commands.get()
            for task in (calling, following):
                task.cancel()
            await asyncio.gather(calling, following, return_exceptions=True)
        Left(sent=sum(client.sent for client in self._clients.values())).send()

    async def _send_prompts(self) -> None:
        """Start a call at each interval, whether or not the last call has ended."""
        calls: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        try:
            for prompt in itertools.cycle(self._start.prompts):
                if len(calls) < _MOST_CALLS:
                    calls.add(task := asyncio.create_task(self._call(prompt)))
                    task.add_done_callback(calls.discard)
                # Random, so that the agents are not in step, as real ones are not.
                due += self._start.interval * random.uniform(0.5, 1.5)  # noqa: S311 # no secret
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            await asyncio.gather(*calls)

    async def _call(self, prompt: str) -> None:
        """Call in one of the three ways, and report the result."""
        started, words, error = time.monotonic(), 0, ""
        way = random.choice((self._agent.ask, self._agent.call, None))  # noqa: S311 # no secret
        try:
            if way is not None:
                await way(prompt)
            else:
                async for _ in self._agent.stream(prompt):
                    words += 1
        except Exception as problem:  # noqa: BLE001 # every error of a call is reported
            error = f"{type(problem).__name__}: {problem}"
        Call(started=started, ended=time.monotonic(), words=words, error=error).send()
        self._report_views()

    async def _follow(self) -> None:
        """At each event, report how this registry treats the provider now."""
        async for event in self._subscription:
            try:
                if event.kind in _REFUSING:
                    await self._report_refusal(event.provider, event.id)
                elif event.kind.startswith("breaker_"):
                    await self._registry.breaker(SERVICE, event.provider).aget_stats()
            except RegistryError as error:
                now = time.monotonic()
                Call(started=now, ended=now, error=str(error)).send()
            self._report_views()

    async def _report_refusal(self, provider: str, event: str) -> None:
        explained = await self._registry.explain(self._start.name, SERVICE)
        rejected = any(one.name == provider and one.verdict == "rejected" for one in explained)
        if rejected and not self._start.disobeys:
            Refused(provider=provider, event=event, at=time.monotonic()).send()

    def _report_views(self) -> None:
        for name in self._clients:
            breaker = self._registry.breaker(SERVICE, name)
            state = breaker.state.value
            if state == "closed" and not breaker.is_available():
                state = "cooling"
            if self._views.get(name) != state:
                self._views[name] = state
                View(provider=name, state=state).send()


class _Disobedient(Agent):
    """Calls its providers in turn without asking the registry, so that the demo must notice."""

    def __init__(self, registry: ServiceRegistry, name: str, clients: Mapping[str, Client]) -> None:
        super().__init__(registry, name, clients)
        self._in_turn = itertools.cycle(clients.values())

    async def ask(self, prompt: str) -> str:
        async with asyncio.timeout(BREAKER.timeout_duration):
            return await next(self._in_turn).complete(prompt)

    call = ask

    async def stream(self, prompt: str) -> AsyncIterator[str]:
        yield await self.ask(prompt)


async def _read(stdin: asyncio.StreamReader, lines: asyncio.Queue[bytes]) -> None:
    while line := await stdin.readline():
        lines.put_nowait(line)
    os._exit(1)  # the parent is gone, and the server with it: leaving the fleet is not possible


async def main() -> None:
    """Run the agent that the first line of the input describes."""
    lines = asyncio.Queue[bytes]()
    reading = asyncio.create_task(_read(await open_stdin(), lines))
    await AgentProcess(Start.model_validate_json(await lines.get())).run(lines)
    reading.cancel()


if __name__ == "__main__":
    asyncio.run(main())
