"""Everything that is started for the demo, and taken away afterwards.

An embedded server in a directory of its own, the upstreams, the agents, and a registry that
watches the event stream.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ciris_registry import InvalidURLError, RegistryError, ServiceRegistry
from ciris_registry.demo.agent import SERVICE
from ciris_registry.demo.child import Child
from ciris_registry.demo.client import Client, UpstreamError
from ciris_registry.demo.messages import Bye, Orders, Ready
from ciris_registry.demo.plan import NAMESPACE, PROVIDERS, DemoError
from ciris_registry.store.connection import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ciris_registry.demo.ledger import Ledger
    from ciris_registry.demo.messages import Report
    from ciris_registry.demo.plan import Plan

DISOBEY: Final = "CIRIS_DEMO_DISOBEY"
"""Set in the environment, it makes the first agent ignore the breaker: the demo must notice."""

_START: Final = 15.0
_FAREWELL: Final = 5.0
_GONE: Final = 3.0
"""Seconds for all to be ready, for the last calls to end, and for the server to be gone."""


class Stage:
    """The processes of one performance."""

    def __init__(self, plan: Plan, ledger: Ledger, lost: Callable[[str, str], None]) -> None:
        self.server: Final = _new_server()
        self.ports: Final[dict[str, int]] = {}
        self._plan: Final = plan
        self._ledger: Final = ledger
        self._lost: Final = lost
        self._children: Final[list[Child]] = []
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._here: Final[set[str]] = set()
        self._left: Final[set[str]] = set()
        self._closing = False
        self._observer: ServiceRegistry | None = None

    @property
    def url(self) -> str:
        """Where the shared state lies."""
        return f"unix://{self.server.socket_path}"

    async def start_server(self) -> None:
        """Start the server.

        Raises:
            EmbeddedUnavailableError: It is not installed or does not start.
        """
        await asyncio.to_thread(self.server.acquire)

    async def open(self) -> None:
        """Start everything else; all of it is ready when this returns.

        Raises:
            DemoError: Something did not start.
            RegistryError: The server has gone.
        """
        self._observer = ServiceRegistry(url=self.url, namespace=NAMESPACE)
        feed = self._observer.events(SERVICE)
        await self._observer.flush()  # the feed begins here

        async def follow() -> None:
            with suppress(RegistryError):
                async for event in feed:
                    self._ledger.note_event(event)

        self._spawn(follow())
        upstream = "ciris_registry.demo.upstream"
        for name in PROVIDERS:
            await self._start(name, upstream, name)
        for name in self._plan.names:
            await self._start(name, "ciris_registry.demo.agent_process")
        await self._until_here(PROVIDERS)
        for name in self._plan.names:
            self._tell(name, self._orders(name).model_dump_json())
        await self._until_here(self._plan.names)

    def go(self) -> None:
        """Let the agents send prompts."""
        for name in self._plan.names:
            self._tell(name, "go")

    async def control(self, upstream: str, **behaviour: float) -> None:
        """Tell an upstream how to behave from now on.

        Raises:
            DemoError: It cannot be reached.
        """
        try:
            await Client(self.ports[upstream], "director").control(**behaviour)
        except (UpstreamError, OSError) as error:
            raise DemoError(f"{upstream} cannot be told anything: {error}") from error

    def check(self) -> None:
        """Raise what ended one of the tasks that listen, if any of them failed."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def finish(self) -> None:
        """Let the agents end their calls and leave the fleet."""
        for name in self._plan.names:
            self._tell(name, "stop")
        await _until(lambda: self._left.issuperset(self._ledger.living), _FAREWELL)

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        self._closing = True
        await asyncio.gather(*(child.end() for child in self._children))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._observer is not None:
            with suppress(RegistryError, TimeoutError):
                async with asyncio.timeout(_GONE):
                    await self._observer.aclose()
        await asyncio.to_thread(self.server.release)
        await _until(lambda: not self.server.directory.exists(), _GONE)

    def _orders(self, name: str) -> Orders:
        return Orders(
            name=name,
            url=self.url,
            namespace=NAMESPACE,
            upstreams=self.ports,
            prompts=self._plan.prompts,
            every=self._plan.every,
            disobeys=bool(os.environ.get(DISOBEY)) and name == self._plan.names[0],
        )

    async def _start(self, name: str, module: str, *arguments: str) -> None:
        child = await Child.start(name, module, *arguments)
        self._children.append(child)
        self._spawn(self._listen(child))

    async def _listen(self, child: Child) -> None:
        async for report in child.reports():
            self._note(child.name, report)
        if child.name in self._left or self._closing:
            return
        tail = "".join(f"\n  {line}" for line in child.said)
        self._lost(child.name, f"{await child.fate()}{tail}")

    def _note(self, name: str, report: Report) -> None:
        match report:
            case Ready():
                self._here.add(name)
                if report.port:
                    self.ports[name] = report.port
                else:
                    self._ledger.ids[report.process] = name
            case _:
                if isinstance(report, Bye):
                    self._left.add(name)
                self._ledger.note(name, report)

    def _tell(self, name: str, line: str) -> None:
        for child in self._children:
            if child.name == name:
                child.say(line)

    async def _until_here(self, names: list[str] | tuple[str, ...]) -> None:
        if not await _until(lambda: self._here.issuperset(names), _START):
            late = ", ".join(sorted(set(names) - self._here))
            raise DemoError(f"{late} did not start within {_START:.0f} s")

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:  # noqa: ASYNC110 # of files too
        await asyncio.sleep(0.01)
    return true


def _new_server() -> EmbeddedServer:
    """A server in a directory that is not there yet, and goes with it."""
    name = f"ciris-demo-{secrets.token_hex(3)}"
    try:
        return EmbeddedServer(Path(tempfile.gettempdir()).resolve() / name)
    except InvalidURLError:  # the path is too long for a socket
        return EmbeddedServer(Path("/tmp") / name)  # noqa: S108 # the directory itself is private
