"""The processes of the bench's fleet: started, told what to do, ended.

Each ends when its input does, so that it does not outlive a bench that was killed, and has a
session of its own: Ctrl-C reaches the bench alone, which ends them in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import ciris_registry
from ciris_registry.bench.messages import Answer, Message, Orders
from ciris_registry.bench.plan import BenchError

if TYPE_CHECKING:
    from ciris_registry.bench.place import Place

_PATIENCE: Final = 30.0
"""Seconds for an answer; on a busy machine twenty processes take several to start."""

_GRACE: Final = 3.0
"""Seconds from the end of its input until one is killed."""


class Worker:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, orders: Orders) -> Self:
        """Start one with this Python, from wherever this package lies."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "ciris_registry.bench.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        worker = cls(process)
        worker.tell(orders)
        return worker

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, message: Message) -> None:
        """Write it a line; nothing happens if it is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(message.model_dump_json().encode() + b"\n")

    async def answer(self) -> Answer:
        """What it says next.

        Raises:
            BenchError: It has ended, or says nothing.
        """
        last = "it said nothing"
        output = self._process.stdout
        try:
            async with asyncio.timeout(_PATIENCE):
                while output is not None and (line := await output.readline()):
                    try:
                        return Answer.model_validate_json(line)
                    except ValueError:  # a warning, or the traceback with which it ends
                        last = line.decode(errors="replace").strip() or last
        except TimeoutError:
            raise BenchError(
                f"a process of the fleet has not answered for {_PATIENCE:.0f} s: {last}"
            ) from None
        raise BenchError(f"a process of the fleet has ended: {last}")

    async def end(self) -> None:
        """End it; it is gone when this returns."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()


class Crew:
    """All of them, for the length of a context; all have joined when it begins."""

    def __init__(self, place: Place, count: int) -> None:
        self._orders = Orders(url=place.url, namespace=place.namespace)
        self._count = count
        self._workers: list[Worker] = []

    async def __aenter__(self) -> Self:
        try:
            for _ in range(self._count):
                self._workers.append(await Worker.start(self._orders))
            await self.answers()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    def tell(self, message: Message) -> None:
        """Tell all of them the same."""
        for worker in self._workers:
            worker.tell(message)

    async def answers(self) -> list[Answer]:
        """One answer of each."""
        return list(await asyncio.gather(*(worker.answer() for worker in self._workers)))

    async def _end(self) -> None:
        await asyncio.gather(*(worker.end() for worker in self._workers), return_exceptions=True)


def _environment() -> dict[str, str]:
    """The parent's; and the checkout, if the package is not installed."""
    root = Path(ciris_registry.__file__).parents[1]
    paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    if root.name not in {"site-packages", "dist-packages"}:
        paths.insert(0, str(root))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
