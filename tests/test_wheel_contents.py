"""The wheel carries every Lua file, once, and works without being unpacked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from ciris_registry.store.scripts import load_scripts

CHECKOUT: Final = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_lua_files_of_the_checkout(wheel: Path) -> None:
    packed = sorted(name for name in ZipFile(wheel).namelist() if name.endswith(".lua"))
    lua = CHECKOUT / "lua"
    here = sorted(f"ciris_registry/lua/{p.relative_to(lua)}" for p in lua.rglob("*.lua"))
    assert here
    assert packed == here


def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    assert "ciris_registry/py.typed" in ZipFile(wheel).namelist()


def test_scripts_load_from_the_wheel_without_unpacking_it(wheel: Path, tmp_path: Path) -> None:
    program = CHECKOUT / "tests" / "programs" / "loads_scripts_from_a_wheel.py"
    ran = subprocess.run(
        [sys.executable, "-P", program, wheel],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    expected = "".join(f"{s.name} {s.sha}\n" for s in load_scripts().values())
    assert ran.stdout == expected
