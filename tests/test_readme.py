"""The README's code runs and prints what the README says, and every test that it names exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import fields

import pytest

from ciris_registry import CircuitBreakerConfig, RegistrySettings
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


def table(name: str) -> dict[str, str]:
    """Defaults by field, as the README has them."""
    [rows] = re.findall(rf"\| `{name}` \| default .*\n\|.*\n((?:\|.*\n)+)", README)
    return dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", rows, re.MULTILINE))


def test_the_table_of_registry_settings_is_true() -> None:
    known = {name: repr(one.default) for name, one in RegistrySettings.model_fields.items()}
    assert table("RegistrySettings") == known | {"breaker": "CircuitBreakerConfig()"}


def test_the_table_of_breaker_settings_is_true() -> None:
    known = {one.name: repr(one.default) for one in fields(CircuitBreakerConfig)}
    assert table("CircuitBreakerConfig") == known
