"""A child process: started, sent messages, read from, ended.

A child ends when its input ends, so it outlives neither this object nor a parent that was killed.
It has a session of its own: Ctrl-C reaches the parent alone, which ends its children in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

import ciris_registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.local_fleet.message import Message

_T = TypeVar("_T")

_GRACE: Final = 3.0
"""Seconds from the end of its input until a child is killed."""

_LONGEST_LINE: Final = 1 << 20


class Child:
    """One running child process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name: Final = name
        self.other_output: Final = deque[str](maxlen=12)
        """The last lines of its output that were no messages: usually a traceback."""

        self._process: Final = process

    @classmethod
    async def start(cls, name: str, module: str, *arguments: str) -> Self:
        """Start ``python -m module`` with this interpreter and this copy of the package."""
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

    def send(self, message: Message) -> None:
        """Write a message to its input; no error is raised if it has ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(message.model_dump_json().encode() + b"\n")

    async def receive(self, parse: Callable[[bytes], _T]) -> _T | None:
        """Its next message; None at the end of its output.

        Args:
            parse: Makes a message of a line, or raises ValueError if the line is none.
        """
        output = self._process.stdout
        while output is not None and (line := await output.readline()):
            try:
                return parse(line)
            except ValueError:
                self.other_output.append(line.decode(errors="replace").rstrip())
        return None

    async def end(self) -> None:
        """Close its input, and kill it after 3 s; it has ended when this returns."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
        await self._process.wait()

    async def exit_status(self) -> str:
        """Wait for its end, and describe it."""
        code = await self._process.wait()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _environment() -> dict[str, str]:
    """The parent's environment, with the checkout on the path if the package is not installed."""
    root = Path(ciris_registry.__file__).parents[1]
    paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    if root.name not in {"site-packages", "dist-packages"}:
        paths.insert(0, str(root))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
