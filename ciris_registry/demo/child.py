"""A child process: started, listened to, ended.

It ends when its input does, so it outlives neither this object nor a parent that was killed. It
has a session of its own: Ctrl-C reaches the parent alone, which ends its children in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import ciris_registry
from ciris_registry.demo import messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GRACE: Final = 2.0
"""Seconds from the end of its input until it is killed."""

_LONGEST_LINE: Final = 1 << 20


class Child:
    """One running process of the demo."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name: Final = name
        self.said: Final = deque[str](maxlen=12)
        """The end of what it wrote that was no message: a traceback, as a rule."""

        self._process: Final = process

    @classmethod
    async def start(cls, name: str, module: str, *arguments: str) -> Self:
        """Start ``python -m module`` with this Python, from wherever this package lies."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
            limit=_LONGEST_LINE,
        )
        return cls(name, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def say(self, line: str) -> None:
        """Write it a line; nothing happens if it is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(line.encode() + b"\n")

    async def reports(self) -> AsyncIterator[messages.Report]:
        """What it tells, until its output ends."""
        output = self._process.stdout
        while output is not None and (line := await output.readline()):
            try:
                report = messages.read(line)
            except ValueError:
                self.said.append(line.decode(errors="replace").rstrip())
            else:
                yield report

    async def end(self) -> None:
        """End it; it is gone when this returns."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(GRACE):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def fate(self) -> str:
        """How it ended."""
        code = await self._process.wait()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _environment() -> dict[str, str]:
    """The parent's; and the checkout, if the package is not installed."""
    root = Path(ciris_registry.__file__).parents[1]
    paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    if root.name not in {"site-packages", "dist-packages"}:
        paths.insert(0, str(root))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
