"""One performance from the first line to the exit code, whatever interrupts it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Final

from rich.console import Console

from ciris_registry import RegistryError
from ciris_registry.demo.ledger import Ledger
from ciris_registry.demo.plan import BAD, NAMESPACE, PROVIDERS, DemoError, Plan
from ciris_registry.demo.screen import new_screen
from ciris_registry.demo.stage import Stage
from ciris_registry.demo.story import Story
from ciris_registry.demo.summary import show
from ciris_registry.demo.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

BROKEN: Final = 1
UNABLE: Final = 2
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXTRA: Final = 12.0
"""Seconds for starting and ending; whoever needs more hangs."""


def direct(*, agents: int, seconds: float, prompts: Path | None, plain: bool, hold: bool) -> int:
    """Perform it; the exit code. See ``ciris_registry.demo.run``."""
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        plan = Plan.checked(agents, seconds, prompts, hold=hold)
    except DemoError as error:
        return _unable(error)
    return asyncio.run(Director(plan, console, plain=plain).perform())


class Director:
    """Plays a plan, and takes everything away whatever happens."""

    def __init__(self, plan: Plan, console: Console, *, plain: bool) -> None:
        self._plan = plan
        self._console = console
        self._ledger = Ledger(PROVIDERS, plan.names)
        self._stage = Stage(plan, self._ledger, self._lose)
        self._screen = new_screen(console, self._ledger, plain=plain)
        self._enough = asyncio.Event()
        self._playing: asyncio.Task[None] | None = None
        self._interrupted = 0
        self._problem = ""

    async def perform(self) -> int:
        """Play, clear up, judge."""
        self._playing = playing = asyncio.create_task(self._play())
        limit = None if self._plan.hold else self._plan.seconds + _EXTRA
        # This task is never cancelled, so that nothing can interrupt the clearing up.
        with _caught(self._interrupt):
            await asyncio.wait({playing}, timeout=limit)
            if not playing.done():
                self._problem = f"not at its end after {limit:.0f} s"
                playing.cancel()
                await asyncio.wait({playing})
            await self._stage.close()
        if not playing.cancelled() and (error := playing.exception()) is not None:
            if not isinstance(error, DemoError | RegistryError):
                raise error
            return _unable(error)
        if self._interrupted:
            self._console.print("\nInterrupted; every process has ended.")
            return 128 + self._interrupted
        if self._problem:
            return _unable(self._problem)
        checks = judge(self._ledger)
        show(self._console, self._ledger, checks)
        return 0 if all(check.held for check in checks) else BROKEN

    async def _play(self) -> None:
        await self._stage.start_server()
        count = len(self._plan.names)
        try:
            self._console.print(
                f"One embedded Valkey server, {len(PROVIDERS)} upstreams, {count} agent processes.",
                style="bold",
            )
            await self._stage.open()
            self._tell_how_to_look_in()
            story = Story(self._plan, self._ledger, self._stage, self._screen, self._enough)
            with self._screen:
                await story.play()
        except SystemExit:  # rich's answer to a pipe that was closed
            raise DemoError("nobody reads its output any more") from None

    def _tell_how_to_look_in(self) -> None:
        lines = (
            "Look in from another terminal:",
            f"  S={self._stage.server.socket_path}",
            f"  redis-cli -s $S HGETALL 'ciris:v2:{{{NAMESPACE}/llm}}:breaker:{BAD}'",
            f"  ciris-registry status --url unix://$S --namespace {NAMESPACE}",
            f"  ciris-registry events --follow --url unix://$S --namespace {NAMESPACE}",
            f"  curl http://127.0.0.1:{self._stage.ports[BAD]}/stats   # {BAD}'s own count",
            "",
        )
        for line in lines:
            self._console.print(line, soft_wrap=True)

    def _interrupt(self, number: int) -> None:
        if self._playing is None or self._playing.done():
            return
        if self._plan.hold and self._ledger.restored and not self._enough.is_set():
            self._enough.set()
        else:
            self._interrupted = self._interrupted or number
            self._playing.cancel()

    def _lose(self, name: str, how: str) -> None:
        """An agent may die: the others go on. Nothing else may."""
        if name in self._ledger.agents and self._ledger.started:
            self._ledger.lost[name] = how
            self._screen.say(f"         {name} has ended: {how}; the others go on", "bold")
            if self._ledger.living:
                return
            name = "every agent"
        self._problem = self._problem or f"{name} has ended: {how}"
        if self._playing is not None:
            self._playing.cancel()


@contextlib.contextmanager
def _caught(handler: Callable[[int], None]) -> Generator[None]:
    """Signals that end a program call the handler instead."""
    loop = asyncio.get_running_loop()
    caught: list[signal.Signals] = []
    # Only a process's main thread can catch them.
    with contextlib.suppress(RuntimeError, ValueError):
        for number in _SIGNALS:
            loop.add_signal_handler(number, handler, number)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _unable(problem: object) -> int:
    Console(stderr=True, highlight=False, markup=False).print(
        f"ciris-registry demo: {problem}", soft_wrap=True
    )
    return UNABLE
