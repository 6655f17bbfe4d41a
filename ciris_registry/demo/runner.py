"""One run of the demo, from its first line to its exit code, including interruptions."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Final

from rich.console import Console

from ciris_registry import RegistryError
from ciris_registry.demo.guarantees import judge
from ciris_registry.demo.ledger import Ledger
from ciris_registry.demo.plan import FAILING, NAMESPACE, PROVIDERS, DemoError, Plan
from ciris_registry.demo.processes import Processes
from ciris_registry.demo.scenario import Scenario
from ciris_registry.demo.screen import new_screen
from ciris_registry.demo.summary import show

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

BROKEN: Final = 1
UNABLE: Final = 2
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXTRA: Final = 12.0
"""Seconds for starting and ending; a run that needs more is hanging."""


def run_demo(*, agents: int, seconds: float, prompts: Path | None, plain: bool, hold: bool) -> int:
    """Run the demo and return its exit code; see ``ciris_registry.demo.run``."""
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        plan = Plan.checked(agents, seconds, prompts, hold=hold)
    except DemoError as error:
        return _unable(error)
    return asyncio.run(Runner(plan, console, plain=plain).run())


class Runner:
    """Runs the scenario of a plan, and ends every process however the run ends."""

    def __init__(self, plan: Plan, console: Console, *, plain: bool) -> None:
        self._plan = plan
        self._console = console
        self._ledger = Ledger(PROVIDERS, plan.names)
        self._processes = Processes(plan, self._ledger, self._lose)
        self._screen = new_screen(console, self._ledger, plain=plain)
        self._released = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._interrupted = 0
        self._problem = ""

    async def run(self) -> int:
        """Run the scenario, end everything, judge the guarantees."""
        self._running = running = asyncio.create_task(self._run_scenario())
        limit = None if self._plan.hold else self._plan.seconds + _EXTRA
        # Only the other task is cancelled, so that nothing can interrupt the closing.
        with _handled(self._interrupt):
            await asyncio.wait({running}, timeout=limit)
            if not running.done():
                self._problem = f"it did not end within {limit:.0f} s"
                running.cancel()
                await asyncio.wait({running})
            await self._processes.close()
        if not running.cancelled() and (error := running.exception()) is not None:
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

    async def _run_scenario(self) -> None:
        await self._processes.start_server()
        count = len(self._plan.names)
        try:
            self._console.print(
                f"One embedded Valkey server, {len(PROVIDERS)} upstreams, {count} agent processes.",
                style="bold",
            )
            await self._processes.start()
            self._print_commands()
            scenario = Scenario(
                self._plan, self._ledger, self._processes, self._screen, self._released
            )
            with self._screen:
                await scenario.run()
        except SystemExit:  # raised by rich when standard output is a closed pipe
            raise DemoError("its standard output was closed") from None

    def _print_commands(self) -> None:
        stats = f"http://127.0.0.1:{self._processes.ports[FAILING]}/stats"
        lines = (
            "Look at it from another terminal:",
            f"  S={self._processes.server.socket_path}",
            f"  redis-cli -s $S HGETALL 'ciris:v2:{{{NAMESPACE}/0}}:llm:breaker:{FAILING}'",
            f"  ciris-registry status --url unix://$S --namespace {NAMESPACE}",
            f"  ciris-registry events --follow --url unix://$S --namespace {NAMESPACE}",
            f"  curl {stats}   # {FAILING}'s own count",
            "",
        )
        for line in lines:
            self._console.print(line, soft_wrap=True)

    def _interrupt(self, number: int) -> None:
        if self._running is None or self._running.done():
            return
        if self._plan.hold and self._ledger.restored and not self._released.is_set():
            self._released.set()
        else:
            self._interrupted = self._interrupted or number
            self._running.cancel()

    def _lose(self, name: str, how: str) -> None:
        """Continue without an agent that has ended; end the run if another process has."""
        if name in self._ledger.agents and self._ledger.started:
            self._ledger.lost[name] = how
            self._screen.show(f"         {name} has ended: {how}; the others continue", "bold")
            if self._ledger.living:
                return
            name = "every agent"
        self._problem = self._problem or f"{name} has ended: {how}"
        if self._running is not None:
            self._running.cancel()


@contextlib.contextmanager
def _handled(handler: Callable[[int], None]) -> Generator[None]:
    """Call the handler for signals that would end the program."""
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    # Only the main thread of a process can handle signals.
    with contextlib.suppress(RuntimeError, ValueError):
        for number in _SIGNALS:
            loop.add_signal_handler(number, handler, number)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _unable(problem: object) -> int:
    Console(stderr=True, highlight=False, markup=False).print(
        f"ciris-registry demo: {problem}", soft_wrap=True
    )
    return UNABLE
