"""The README's code runs and prints what the README says, and every test that it names exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

import pytest

from tests.readme_code import README, ROOT


def test_the_first_example_prints_what_it_says() -> None:
    program, printed = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)[0]
    with tempfile.TemporaryDirectory(prefix="ciris-") as folder:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "TMPDIR": folder, "PYTHONPATH": str(ROOT)},
        )
    assert ran.stderr == ""
    assert ran.stdout == printed


@pytest.mark.parametrize("named", sorted(set(re.findall(r"tests?/[\w/]+\.py", README))))
def test_every_test_file_that_is_named_exists(named: str) -> None:
    assert (ROOT / named).is_file()


@pytest.mark.parametrize(
    "named", sorted(set(re.findall(r"\btest_[a-z_]+\b(?!\.py|…|_?\d)", README)))
)
def test_every_test_that_is_named_exists(named: str) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    files = {path.stem for path in ROOT.glob("tests/**/*.py")}
    assert f"def {named}" in sources or any(file.startswith(named) for file in files)
