"""The processes of the demo: an embedded server, the upstreams, the agents, and an observer.

The observer is a registry of the parent process that reads the event stream.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ciris_registry import RegistryError, ServiceRegistry
from ciris_registry.demo.agent import SERVICE
from ciris_registry.demo.client import Client, UpstreamError
from ciris_registry.demo.messages import Command, Left, Ready, Start, parse_report
from ciris_registry.demo.plan import NAMESPACE, PROVIDERS, DemoError
from ciris_registry.local_fleet import (
    Child,
    new_private_server,
    wait_until,
    wait_until_removed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from ciris_registry.demo.ledger import Ledger
    from ciris_registry.demo.messages import Report
    from ciris_registry.demo.plan import Plan
    from ciris_registry.local_fleet import Message
    from ciris_registry.store.connection import EmbeddedServer

DISOBEY: Final = "CIRIS_DEMO_DISOBEY"
"""If set in the environment, the first agent ignores the breaker, and the demo must notice."""

_READY_WITHIN: Final = 15.0
_LEFT_WITHIN: Final = 5.0
_CLOSED_WITHIN: Final = 3.0
"""Seconds for all processes to be ready, for the agents to leave, and for the observer to close."""


class Processes:
    """All processes of one run. ``lost`` is called if one ends by itself, with how it ended."""

    def __init__(self, plan: Plan, ledger: Ledger, lost: Callable[[str, str], None]) -> None:
        self.server: Final[EmbeddedServer] = new_private_server("ciris-demo")
        self.ports: Final[dict[str, int]] = {}
        self._plan: Final = plan
        self._ledger: Final = ledger
        self._lost: Final = lost
        self._children: Final[dict[str, Child]] = {}
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._ready: Final[set[str]] = set()
        self._left: Final[set[str]] = set()
        self._closing = False
        self._observer: ServiceRegistry | None = None

    @property
    def url(self) -> str:
        """The URL of the shared state."""
        return f"unix://{self.server.socket_path}"

    async def start_server(self) -> None:
        """Start the server.

        Raises:
            EmbeddedServerError: It is not installed or does not start.
        """
        await asyncio.to_thread(self.server.acquire)

    async def start(self) -> None:
        """Start everything else; all processes are ready when this returns.

        Raises:
            DemoError: A process did not start.
            RegistryError: The server has gone.
        """
        self._observer = ServiceRegistry(url=self.url, namespace=NAMESPACE)
        subscription = self._observer.events(SERVICE)
        await self._observer.flush()  # the subscription begins here

        async def follow() -> None:
            with suppress(RegistryError):
                async for event in subscription:
                    self._ledger.note_event(event)

        self._spawn(follow())
        for name in PROVIDERS:
            await self._start_child(name, "ciris_registry.demo.upstream", name)
        for name in self._plan.names:
            await self._start_child(name, "ciris_registry.demo.agent_process")
        await self._until_ready(PROVIDERS)
        for name in self._plan.names:
            self._children[name].send(self._start_message(name))
        await self._until_ready(self._plan.names)

    def start_calls(self) -> None:
        """Let the agents send prompts."""
        self._send_agents(Command(do="call"))

    async def control(self, upstream: str, **behaviour: float) -> None:
        """Set how an upstream behaves from now on.

        Raises:
            DemoError: It cannot be reached.
        """
        try:
            await Client(self.ports[upstream], "runner").control(**behaviour)
        except (UpstreamError, OSError) as error:
            raise DemoError(f"{upstream} cannot be controlled: {error}") from error

    def check(self) -> None:
        """Raise the error of a reading task that failed, if any."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def stop_agents(self) -> None:
        """Let the agents finish their calls and leave the fleet."""
        self._send_agents(Command(do="leave"))
        await wait_until(lambda: self._left.issuperset(self._ledger.living), _LEFT_WITHIN)

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        self._closing = True
        await asyncio.gather(*(child.end() for child in self._children.values()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._observer is not None:
            with suppress(RegistryError, TimeoutError):
                async with asyncio.timeout(_CLOSED_WITHIN):
                    await self._observer.aclose()
        await asyncio.to_thread(self.server.release)
        await wait_until_removed(self.server)

    def _start_message(self, name: str) -> Start:
        return Start(
            name=name,
            url=self.url,
            namespace=NAMESPACE,
            upstreams=self.ports,
            prompts=self._plan.prompts,
            interval=self._plan.interval,
            disobeys=bool(os.environ.get(DISOBEY)) and name == self._plan.names[0],
        )

    async def _start_child(self, name: str, module: str, *arguments: str) -> None:
        self._children[name] = child = await Child.start(name, module, *arguments)
        self._spawn(self._read(child))

    async def _read(self, child: Child) -> None:
        while (report := await child.receive(parse_report)) is not None:
            self._note(child.name, report)
        if child.name in self._left or self._closing:
            return
        output = "".join(f"\n  {line}" for line in child.other_output)
        self._lost(child.name, f"{await child.exit_status()}{output}")

    def _note(self, name: str, report: Report) -> None:
        match report:
            case Ready():
                self._ready.add(name)
                if report.port:
                    self.ports[name] = report.port
                else:
                    self._ledger.ids[report.process] = name
            case _:
                if isinstance(report, Left):
                    self._left.add(name)
                self._ledger.note(name, report)

    def _send_agents(self, message: Message) -> None:
        for name in self._plan.names:
            self._children[name].send(message)

    async def _until_ready(self, names: Sequence[str]) -> None:
        if not await wait_until(lambda: self._ready.issuperset(names), _READY_WITHIN):
            late = ", ".join(sorted(set(names) - self._ready))
            raise DemoError(f"{late} did not start within {_READY_WITHIN:.0f} s")

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))
