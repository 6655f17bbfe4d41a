"""Runs the programs of ``tests/programs``, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
WARNINGS_ARE_ERRORS: Final = ("-W", "error")


class CallResult(NamedTuple):
    """How a program ended, and what it printed."""

    code: int
    output: str
    errors: str


QUIETLY: Final = CallResult(0, "", "")
"""The end of a program whose assertions all held and which had nothing to report."""


@contextlib.contextmanager
def place_for_servers() -> Iterator[Path]:
    """A folder for TMPDIR of programs; it is removed when their embedded servers have ended.

    Its path is short, because it has to hold a socket.
    """
    with tempfile.TemporaryDirectory(prefix="ciris-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        yield folder
        wait_until(lambda: not list(folder.glob("ciris-registry-*")))


def command(program: str, *arguments: object, options: tuple[str, ...] = ()) -> list[str]:
    """The command line of a program; ``options`` are Python's."""
    words = (str(one) for one in arguments)
    return [sys.executable, *options, "-m", f"tests.programs.{program}", *words]


def environment(**variables: str) -> Mapping[str, str]:
    """The environment of a program, which finds the package and the tests of this checkout."""
    path = (variables.pop("PYTHONPATH", ""), str(ROOT), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def run(program: str, *arguments: object, timeout: float = 40.0, **variables: str) -> CallResult:
    """Run a program to its end; all warnings are errors there."""
    ended = subprocess.run(
        command(program, *arguments, options=WARNINGS_ARE_ERRORS),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment(**variables),
    )
    return CallResult(ended.returncode, ended.stdout, ended.stderr)


def start(program: str, *arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Start a program that reads lines and answers them."""
    return subprocess.Popen(
        command(program, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )
