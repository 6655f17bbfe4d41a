"""The process of an agent: has it send prompts at a steady rate, and tells the parent what it saw.

It ends with the end of its input.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Final

from ciris_registry import RegistryError, ServiceRegistry
from ciris_registry.demo.agent import BREAKER, SERVICE, Agent
from ciris_registry.demo.client import Client
from ciris_registry.demo.messages import Bye, Call, Orders, Ready, Refused, View

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_LEFT_ALONE: Final = {"breaker_opened", "breaker_cooldown_started"}
"""Events after which nobody shall call the provider."""

_LONGEST_LINE: Final = 1 << 24
_MOST_CALLS: Final = 64


class AgentProcess:
    """One process of the fleet."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._registry = ServiceRegistry(url=orders.url, namespace=orders.namespace)
        self._clients = {name: Client(port, orders.name) for name, port in orders.upstreams.items()}
        made = _Disobedient if orders.disobeys else Agent
        self._agent = made(self._registry, orders.name, self._clients)
        self._views: dict[str, str] = {}
        self._feed = self._registry.events(SERVICE)

    async def live(self, words: asyncio.Queue[bytes]) -> None:
        """Join the fleet, work from the first word until the second, and leave it."""
        async with self._registry:
            following = asyncio.create_task(self._follow())
            Ready(process=self._registry.process_id).send()
            await words.get()
            working = asyncio.create_task(self._work())
            await words.get()
            for task in (working, following):
                task.cancel()
            await asyncio.gather(working, following, return_exceptions=True)
        Bye(sent=sum(client.sent for client in self._clients.values())).send()

    async def _work(self) -> None:
        """A call each tick, whether or not the last one has ended."""
        calls: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        try:
            for prompt in itertools.cycle(self._orders.prompts):
                if len(calls) < _MOST_CALLS:
                    calls.add(task := asyncio.create_task(self._call(prompt)))
                    task.add_done_callback(calls.discard)
                # Not in step with the other agents, as real ones are not.
                due += self._orders.every * random.uniform(0.5, 1.5)  # noqa: S311 # no secret
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            await asyncio.gather(*calls)

    async def _call(self, prompt: str) -> None:
        """A call in one of the three ways, and what its caller saw of it."""
        asked, words, error = time.monotonic(), 0, ""
        way = random.choice((self._agent.ask, self._agent.call, None))  # noqa: S311 # no secret
        try:
            if way is not None:
                await way(prompt)
            else:
                async for _ in self._agent.stream(prompt):
                    words += 1
        except Exception as problem:  # noqa: BLE001 # whatever it is, the caller sees it
            error = f"{type(problem).__name__}: {problem}"
        Call(asked=asked, ended=time.monotonic(), words=words, error=error).send()
        self._show()

    async def _follow(self) -> None:
        """Ask at once what the registry makes of each event, instead of at the next call."""
        async for event in self._feed:
            try:
                if event.kind in _LEFT_ALONE:
                    await self._ask(event.provider, event.id)
                elif event.kind.startswith("breaker_"):
                    await self._registry.breaker(SERVICE, event.provider).aget_stats()
            except RegistryError as error:
                now = time.monotonic()
                Call(asked=now, ended=now, error=str(error)).send()
            self._show()

    async def _ask(self, provider: str, event: str) -> None:
        told = await self._registry.explain(self._orders.name, SERVICE)
        left_out = any(one.name == provider and one.verdict == "left out" for one in told)
        if left_out and not self._orders.disobeys:
            Refused(provider=provider, event=event, at=time.monotonic()).send()

    def _show(self) -> None:
        for name in self._clients:
            breaker = self._registry.breaker(SERVICE, name)
            state = breaker.state.value
            if state == "closed" and not breaker.is_available():
                state = "cooling"
            if self._views.get(name) != state:
                self._views[name] = state
                View(provider=name, state=state).send()


class _Disobedient(Agent):
    """Calls whom it likes, so that the demo can be seen to notice."""

    def __init__(self, registry: ServiceRegistry, name: str, clients: Mapping[str, Client]) -> None:
        super().__init__(registry, name, clients)
        self._at_will = itertools.cycle(clients.values())

    async def ask(self, prompt: str) -> str:
        async with asyncio.timeout(BREAKER.timeout_duration):
            return await next(self._at_will).complete(prompt)

    call = ask

    async def stream(self, prompt: str) -> AsyncIterator[str]:
        yield await self.ask(prompt)


async def _listen(orders: asyncio.StreamReader, words: asyncio.Queue[bytes]) -> None:
    while line := await orders.readline():
        words.put_nowait(line)
    os._exit(1)  # the parent is gone, and with it the server: there is nobody to tell


async def main() -> None:
    """Read the orders and follow them."""
    orders = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    words = asyncio.Queue[bytes]()
    listening = asyncio.create_task(_listen(orders, words))
    await AgentProcess(Orders.model_validate_json(await words.get())).live(words)
    listening.cancel()


if __name__ == "__main__":
    asyncio.run(main())
