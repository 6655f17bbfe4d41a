"""The tutorial: two processes, the lines that they print, and what an operator sees of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final, Self

import pytest

from tests.documentation import ROOT, blocks
from tests.running import place_for_servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = "docs/tutorial/first-fleet.md"
[AGENT] = [one.text for one in blocks(PAGE) if one.title == "agent.py"]
CONSOLE, FIRST, SECOND, AGAIN, REFUSED = (one.text for one in blocks(PAGE) if one.note == "run by")
[OVERRIDE] = [
    line.split('"')
    for one in blocks(PAGE)
    for line in one.text.splitlines()
    if line.startswith("ciris-registry breaker")
]


class Terminal:
    """One agent process, and what it prints."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "agent.py"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def reads(self, expected: str) -> None:
        assert self.process.stdout is not None
        for line in expected.splitlines():
            assert self.process.stdout.readline().rstrip("\n") == line

    def press_enter(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ends(self) -> str:
        """What it says on standard error when there is no more input."""
        return self.process.communicate(timeout=30)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the programs of the tutorial and their server are."""
    with place_for_servers() as folder:
        yield folder


def test_two_processes_open_the_breaker_that_an_operator_sees(folder: Path) -> None:
    (folder / "agent.py").write_text(AGENT, encoding="utf-8")
    env = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    shown = CONSOLE.removeprefix("$ python agent.py\n")
    of_fleet = {"CIRIS_REGISTRY_URL": "embedded://", "CIRIS_REGISTRY_NAMESPACE": "tutorial"}

    def operator(*words: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "ciris_registry", *words],
            env=env | of_fleet,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, ""), words
        return ran.stdout

    with Terminal(folder, env) as one, Terminal(folder, env) as other:
        for terminal in (one, other):
            terminal.reads(shown)
        for terminal, expected in ((one, FIRST), (other, SECOND)):
            terminal.press_enter()
            terminal.reads(expected)
        # A command takes longer than an event needs to reach the processes, as a reader does.
        assert re.search(r"openai\s+open", operator("status"))
        assert "breaker_opened" in operator("events").splitlines()[-1]
        one.press_enter()
        one.reads(AGAIN)

        words, reason, rest = OVERRIDE
        operator(*words.split()[1:], reason, *rest.split())
        assert "forced open" in operator("status")
        other.press_enter()
        pattern = re.escape(REFUSED.strip()).replace("…", r"[0-9.]+")
        assert re.search(pattern, other.ends())
        assert one.ends() == ""
