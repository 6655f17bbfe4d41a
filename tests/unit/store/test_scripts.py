from __future__ import annotations

import hashlib
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from ciris_registry.errors import RegistryError
from ciris_registry.store import scripts
from ciris_registry.store.scripts import (
    Script,
    ScriptParameterError,
    ScriptSourceError,
    load_scripts,
    read_scripts,
)

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = """\
    -- sample: says what it does,
    --   on two lines.
    --
    -- KEYS[1]    breaker  the breaker's hash
    -- KEYS[2..]  hashes
    -- ARGV[1]    outcome  "success" | "failure",
    --                     and nothing else
    -- ARGV[2..]  steps    how far
    -- Returns    {code, …}
    local clock = require("lib.clock")
    return { KEYS[1], #KEYS, ARGV[1], #ARGV, clock.now() } -- require nothing here
    """
CLOCK = """\
    -- The clock.
    local clock = {}

    function clock.now()
      return 42
    end

    return clock
    """


class Folder:
    """A small ``lua`` folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")

    def script(self, name: str) -> Script:
        return read_scripts(self.path)[name]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("sample.lua", SAMPLE)
    folder.write("lib/clock.lua", CLOCK)
    return folder


@pytest.fixture
def sample(folder: Folder) -> Script:
    return folder.script("sample")


def test_a_header_names_the_parameters_in_order(sample: Script) -> None:
    assert sample.purpose == "says what it does, on two lines."
    assert sample.keys == ("breaker", "hashes")
    assert sample.args == ("outcome", "steps")
    assert sample.keys_variadic
    assert sample.args_variadic


def test_a_script_without_parameters_has_none(folder: Folder) -> None:
    folder.write("plain.lua", "-- plain: takes nothing.\nreturn 1\n")
    plain = folder.script("plain")
    assert (plain.keys, plain.args, plain.keys_variadic, plain.args_variadic) == (
        (),
        (),
        False,
        False,
    )
    assert plain.arrange({}, {}) == (0, [])


def test_a_required_file_stands_in_the_text_as_a_local_function(sample: Script) -> None:
    lines = sample.text.splitlines()
    start = lines.index("local clock = (function()")
    assert lines[0] == "-- sample: says what it does,"
    assert lines[start + 1] == "-- The clock."
    assert lines[start + 8 : start + 10] == ["return clock", "end)()"]
    assert 'require("' not in sample.text


def test_a_file_that_required_files_require_stands_before_them_once(folder: Folder) -> None:
    for name in ("one", "two"):
        folder.write(f"lib/{name}.lua", 'local clock = require("lib.clock")\nreturn clock.now')
    requires = 'local one = require("lib.one")\nlocal two = require("lib.two")'
    folder.write("both.lua", f"-- both: p\n{requires}\nreturn one()\n")
    lines = folder.script("both").text.splitlines()
    starts = [line for line in lines if line.endswith("(function()")]
    assert starts == [f"local {name} = (function()" for name in ("clock", "one", "two")]
    assert not [line for line in lines if "require" in line]


def test_the_sha_is_that_of_the_expanded_text(sample: Script, folder: Folder) -> None:
    assert sample.sha == hashlib.sha1(sample.text.encode()).hexdigest()  # noqa: S324 # as EVALSHA
    folder.write("lib/clock.lua", CLOCK.replace("42", "43"))
    assert folder.script("sample").sha != sample.sha


def test_values_are_arranged_by_parameter_name(sample: Script) -> None:
    numkeys, flat = sample.arrange(
        {"hashes": ["h1", "h2"], "breaker": "b"}, {"steps": (1, "2"), "outcome": "success"}
    )
    assert (numkeys, flat) == (3, ["b", "h1", "h2", "success", 1, "2"])


def test_a_variadic_tail_can_be_empty(sample: Script) -> None:
    arranged = sample.arrange({"breaker": "b", "hashes": []}, {"outcome": "failure", "steps": ()})
    assert arranged == (1, ["b", "failure"])


@pytest.mark.parametrize(
    ("keys", "args", "message", "missing", "unknown"),
    [
        ({}, {}, "missing breaker, hashes", ("breaker", "hashes"), ()),
        ({"breaker": "b", "hash": []}, {}, "missing hashes; unknown hash", ("hashes",), ("hash",)),
        ({"breaker": "b", "hashes": [], "x": "y"}, {}, "unknown x", (), ("x",)),
        ({"breaker": "b", "hashes": "h"}, {}, "hashes takes a sequence", (), ()),
        ({"breaker": "b", "hashes": []}, {"outcome": "o"}, "missing steps", ("steps",), ()),
        (
            {"breaker": "b", "hashes": []},
            {"outcome": "o", "steps": [], "x": 1},
            "unknown x",
            (),
            ("x",),
        ),
        ({"breaker": "b", "hashes": []}, {"outcome": "o", "steps": 1}, "takes a sequence", (), ()),
    ],
)
def test_a_wrong_parameter_is_an_error_that_names_it(
    sample: Script,
    keys: dict[str, str | list[str]],
    args: dict[str, str | int | list[str | int]],
    message: str,
    missing: tuple[str, ...],
    unknown: tuple[str, ...],
) -> None:
    with pytest.raises(ScriptParameterError, match=message) as caught:
        sample.arrange(keys, args)
    assert isinstance(caught.value, RegistryError)
    assert caught.value.script == "sample"
    assert caught.value.missing == missing
    assert caught.value.unknown == unknown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "first line"),
        ("return 1", "first line"),
        ("-- other: has another name.", "first line"),
        ("-- bad: p\n-- KEYS[2]  a  x", r"KEYS\[2\] stands where 1 belongs"),
        ("-- bad: p\n-- ARGV[1]  a\n-- ARGV[1]  b", r"ARGV\[1\] stands where 2 belongs"),
        ("-- bad: p\n-- ARGV[1]  a\n-- ARGV[2]  a", "two parameters of ARGV are called a"),
        ("-- bad: p\n-- ARGV[1..]  a\n-- ARGV[2]  b", "only the last parameter of ARGV"),
        ("-- bad: p\n-- KEYS[1]", "not `-- KEYS"),
        ('-- bad: p\nlocal x = require("lib.none")', "no lib/none.lua"),
        ('-- bad: p\nlocal x = require("clock")', "not `local name = require"),
        ('-- bad: p\nif x then\n  local c = require("lib.clock")\nend', "not `local name"),
        ('-- bad: p\nlocal x = require("lib.deep")', "cannot require one itself"),
    ],
)
def test_a_file_that_breaks_the_format_is_an_error_that_says_why(
    folder: Folder, text: str, reason: str
) -> None:
    folder.write("lib/nested.lua", 'local clock = require("lib.clock")\nreturn { clock = clock }')
    folder.write("lib/deep.lua", 'local nested = require("lib.nested")\nreturn nested')
    folder.write("bad.lua", text)
    with pytest.raises(ScriptSourceError, match=reason) as caught:
        read_scripts(folder.path)
    assert isinstance(caught.value, RegistryError)


def test_only_lua_files_of_the_folder_itself_are_scripts(folder: Folder) -> None:
    folder.write("README.md", "text")
    assert list(read_scripts(folder.path)) == ["sample"]


def test_the_scripts_of_the_package_are_read_once() -> None:
    assert load_scripts() is load_scripts()
    assert list(load_scripts()) == sorted(load_scripts())


def test_a_package_without_its_lua_folder_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere(_package: str) -> Path:
        return tmp_path

    monkeypatch.setattr("importlib.resources.files", nowhere)
    monkeypatch.setattr(scripts, "__file__", str(tmp_path / "package" / "scripts.py"))
    load_scripts.cache_clear()
    with pytest.raises(ScriptSourceError, match="install it again"):
        load_scripts()
