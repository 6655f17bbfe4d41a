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


def named_tests() -> list[tuple[str, str]]:
    """The tests that are named between backticks: each file, and each test with its file.

    A name after ``…`` is a test of the file that was named last; one that ends with ``…``, and a
    file without ``.py``, says how names begin.
    """
    found: list[tuple[str, str]] = []
    file = ""
    for text in re.findall(r"`([^`\n]*test_[^`\n]*)`", README):
        for word in text.split():
            if "/test_" in word:
                file = word.removeprefix("tests/")
                found.append((file, ""))
            elif word.startswith("test_"):
                found.append((file, word))
    return sorted(set(found))


@pytest.mark.parametrize(("file", "name"), named_tests())
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    found = list((ROOT / "tests").glob(file if file.endswith(".py") else f"{file}*.py"))
    assert found, "there is such a file"
    sources = "".join(path.read_text(encoding="utf-8") for path in found)
    begins = name.removesuffix("…") if name.endswith("…") else f"{name}("
    assert not name or f"def {begins}" in sources


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
