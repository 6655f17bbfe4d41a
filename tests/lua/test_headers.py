"""The contract of the Lua folder: headers match the code, and no script leaves the dialect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from lupa import lua51

from ciris_registry.store.scripts import Script, load_scripts
from tests.lua import header_contract as contract

LUA: Final = Path(__file__).parents[2] / "lua"
SOURCES: Final = {str(p.relative_to(LUA)): p.read_text("utf-8") for p in LUA.rglob("*.lua")}
LIBS: Final = {name: text for name, text in SOURCES.items() if name.startswith("lib/")}

each_script = pytest.mark.parametrize(
    "script", [pytest.param(s, id=name) for name, s in load_scripts().items()]
)
each_file = pytest.mark.parametrize("file", sorted(SOURCES))
each_lib = pytest.mark.parametrize("lib", sorted(LIBS))


def lua_error(text: str) -> str | None:
    loaded = lua51.LuaRuntime().globals().loadstring(text)
    return str(loaded[1]) if isinstance(loaded, tuple) else None


def test_every_file_is_a_script_or_a_library_that_a_script_requires() -> None:
    assert set(SOURCES) - set(LIBS) == {f"{name}.lua" for name in load_scripts()}
    required = {
        f"lib/{lib}.lua"
        for source in SOURCES.values()
        for lib in re.findall(r'require\("lib\.(\w+)"\)', source)
    }
    assert required == set(LIBS)


@each_script
@pytest.mark.parametrize("table", ["KEYS", "ARGV"])
def test_the_parameters_used_are_the_parameters_documented(script: Script, table: str) -> None:
    parameters = (script.keys, script.keys_variadic)
    if table == "ARGV":
        parameters = (script.args, script.args_variadic)
    source = SOURCES[f"{script.name}.lua"]
    assert not contract.parameter_problems(
        source, table, documented=parameters[0], variadic=parameters[1]
    )


@each_script
def test_a_header_documents_the_reply(script: Script) -> None:
    source = SOURCES[f"{script.name}.lua"]
    header = source[: re.search(r"^(?!--)", source, re.MULTILINE).start()]  # type: ignore[union-attr] # it matches at the end of the text at the latest
    words = re.findall(r"^-- (Returns|Events) +\S", header, re.MULTILINE)
    assert words in (["Returns"], ["Returns", "Events"])


@each_script
def test_every_script_parses_as_lua_5_1(script: Script) -> None:
    assert lua_error(script.text) is None


@each_lib
def test_a_library_returns_a_table_and_does_nothing_when_it_is_loaded(lib: str) -> None:
    # There is no global redis, so any command on loading fails.
    runtime = lua51.LuaRuntime()
    runtime.execute("function require() return {} end")
    assert lua51.lua_type(runtime.execute(LIBS[lib])) == "table"


@each_lib
def test_a_library_does_not_read_keys_or_argv(lib: str) -> None:
    for table in ("KEYS", "ARGV"):
        use = contract.parameters_used(LIBS[lib], table)
        assert not use.numbers
        assert not use.each
        assert not use.as_a_whole


@each_file
def test_no_file_searches_for_keys(file: str) -> None:
    commands = contract.commands_used(SOURCES[file])
    assert not commands & {"KEYS", "SCAN", "RANDOMKEY", "FLUSHALL", "FLUSHDB", "SELECT", "?"}


@each_file
def test_time_comes_only_from_the_clock_library(file: str) -> None:
    assert ("TIME" in contract.commands_used(SOURCES[file])) == (file == "lib/clock.lua")


@each_file
def test_no_file_uses_more_than_the_dialect_of_all_servers(file: str) -> None:
    assert not contract.forbidden_in(SOURCES[file])


@each_file
def test_no_file_is_longer_than_120_lines(file: str) -> None:
    assert len(SOURCES[file].splitlines()) <= 120


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("return KEYS[1] .. KEYS[2]", None),
        ('-- KEYS[3]\nreturn KEYS[1] .. KEYS[2] .. "KEYS[3]"', None),
        ("return KEYS[1]", "KEYS[2] (second) is documented, not used"),
        ("return KEYS[1] .. KEYS[2] .. KEYS[3]", "KEYS[3] is used, not documented"),
        ("return KEYS[0] .. KEYS[1] .. KEYS[2]", "KEYS[0] is used, not documented"),
        ("for _, key in ipairs(KEYS) do keep(key) end", None),
        (
            "local all = KEYS; return KEYS[1] .. KEYS[2]",
            "KEYS is used as a whole, but no parameter of it is variadic",
        ),
    ],
)
def test_the_parameter_check_finds_missing_and_unknown_parameters(
    code: str, problem: str | None
) -> None:
    documented = ("first", "second")
    problems = contract.parameter_problems(code, "KEYS", documented=documented, variadic=False)
    assert problems == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("for i = 2, #ARGV do f(ARGV[1], ARGV[i]) end", None),
        ("return ARGV[1], ARGV[2], unpack(ARGV, 3)", None),
        ("return ARGV[1], ARGV[2]", "ARGV[2..] is documented, not used"),
        ("return unpack(ARGV, 2)", "ARGV[1] (first) is documented, not used"),
    ],
)
def test_the_parameter_check_accepts_a_variadic_last_parameter(
    code: str, problem: str | None
) -> None:
    problems = contract.parameter_problems(
        code, "ARGV", documented=("first", "rest"), variadic=True
    )
    assert problems == ([problem] if problem else [])


@pytest.mark.parametrize(
    "code",
    ["cmsgpack.pack(x)", "bit.band(1, 2)", "os.time()", "redis.sha1hex(x)", "loadstring(x)"],
)
def test_the_dialect_check_finds_what_some_servers_lack(code: str) -> None:
    assert contract.forbidden_in(f"local x = {code}")
    assert not contract.forbidden_in(f'-- {code}\nlocal x = "{code}"')


def test_the_dialect_check_allows_a_library_function_called_load() -> None:
    assert not contract.forbidden_in("local b = breaker.load(KEYS[1])")


def test_the_command_check_finds_each_way_to_call() -> None:
    source = "redis.call('scan', 0) redis.pcall( \"TIME\") redis.call(name) -- redis.call('KEYS')"
    assert contract.commands_used(source) == {"SCAN", "TIME", "?"}
    wrapped = 'local function read(...) return redis.pcall(...) end return read("RANDOMKEY")'
    assert contract.commands_used(wrapped) == {"RANDOMKEY"}


def test_the_parse_check_finds_a_syntax_error() -> None:
    assert lua_error("local = 1") is not None
