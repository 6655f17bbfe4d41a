"""An agent process: sends prompts through the fleet's shared pool at a steady rate.

What it does with the registry is all in ``_call``: ask for a provider, use it, report how it went.
Everything else here tells the parent what happened. It ends with the end of its input.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Final

from ciris_registry import (
    CircuitBreakerConfig,
    RegistryError,
    SelectionStrategy,
    ServiceRegistry,
)
from ciris_registry.demo.client import TIMEOUT, Client, UpstreamError, asked_at
from ciris_registry.demo.messages import Bye, Call, Orders, Ready, Refused, Unserved, View

if TYPE_CHECKING:
    from collections.abc import Coroutine

SERVICE: Final = "llm"

BREAKER: Final = CircuitBreakerConfig(
    failure_threshold=5, recovery_timeout=2.0, success_threshold=3, timeout_duration=TIMEOUT
)
"""As by default, but with a recovery time that a spectator can wait for."""

_LONGEST_LINE: Final = 1 << 24
_MOST_CALLS: Final = 64


class Agent:
    """One process of the fleet."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._registry = ServiceRegistry(url=orders.url, namespace=orders.namespace)
        self._clients = {name: Client(port, orders.name) for name, port in orders.upstreams.items()}
        for name, client in self._clients.items():
            self._registry.register_global(
                SERVICE,
                client,
                circuit_breaker_config=BREAKER,
                strategy=SelectionStrategy.ROUND_ROBIN,
                name=name,
            )
        self._at_will = itertools.cycle(self._clients)
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
        Bye().send()

    async def _work(self) -> None:
        """A call each tick, whether or not the last one has ended."""
        calls: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        try:
            for prompt in itertools.cycle(self._orders.prompts):
                if len(calls) < _MOST_CALLS:
                    calls.add(task := asyncio.create_task(self._guarded(self._call(prompt))))
                    task.add_done_callback(calls.discard)
                # Not in step with the other agents, as real ones are not.
                due += self._orders.every * random.uniform(0.5, 1.5)  # noqa: S311 # no secret
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            await asyncio.gather(*calls)

    async def _call(self, prompt: str) -> None:
        asked = time.monotonic()
        asked_at.set(asked)
        client: Client | None = await self._provider()
        if client is None:
            Unserved(asked=asked, why="no provider can be used").send()
            return
        name = next(name for name, one in self._clients.items() if one is client)
        breaker = self._registry.breaker(SERVICE, name)
        try:
            await client.complete(prompt)
            good = True
        except (UpstreamError, OSError):
            good = False
        reporting = time.monotonic()
        await (breaker.arecord_success() if good else breaker.arecord_failure())
        Call(
            provider=name, asked=asked, reporting=reporting, settled=time.monotonic(), good=good
        ).send()
        self._show()

    async def _provider(self) -> Client | None:
        if self._orders.disobeys:
            return self._clients[next(self._at_will)]
        client: Client | None = await self._registry.get_service(self._orders.name, SERVICE)
        return client

    async def _follow(self) -> None:
        """Ask at once what the registry makes of each opening, instead of at the next call."""
        async for event in self._feed:
            if event.kind == "breaker_opened":
                await self._guarded(self._ask(event.provider, event.id))
            elif event.kind.startswith("breaker_"):
                await self._guarded(self._registry.breaker(SERVICE, event.provider).aget_stats())
            self._show()

    async def _ask(self, provider: str, event: str) -> None:
        told = await self._registry.explain(self._orders.name, SERVICE)
        left_out = any(one.name == provider and one.verdict == "left out" for one in told)
        if left_out and not self._orders.disobeys:
            Refused(provider=provider, event=event, at=time.monotonic()).send()

    async def _guarded(self, work: Coroutine[None, None, object]) -> None:
        try:
            await work
        except RegistryError as error:
            Unserved(asked=time.monotonic(), why=str(error)).send()

    def _show(self) -> None:
        for name in self._clients:
            state = self._registry.breaker(SERVICE, name).state.value
            if self._views.get(name) != state:
                self._views[name] = state
                View(provider=name, state=state).send()


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
    await Agent(Orders.model_validate_json(await words.get())).live(words)
    listening.cancel()


if __name__ == "__main__":
    asyncio.run(main())
