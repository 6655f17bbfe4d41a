"""The Lua scripts: finding them, reading their headers, and expanding them.

Owns the header format and the inlining of ``lua/lib``. Provides the text, its SHA-1 and the flat
argument list of a call. Sends nothing.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from ciris_registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable

LayOut = Callable[[Mapping[str, Any]], list[str | int]]
"""Makes the flat list from values by parameter name."""


class ScriptParameterError(RegistryError):
    """A script was called with other parameters than its header's; nothing was sent to Redis.

    ``script`` is the script's name, ``table`` is ``KEYS`` or ``ARGV``; ``missing`` and ``unknown``
    are the names that the call lacks and those that the header does not have.
    """

    def __init__(
        self,
        script: str,
        table: Literal["KEYS", "ARGV"],
        parameters: Sequence[str],
        given: Sequence[str],
    ) -> None:
        self.script = script
        self.table = table
        self.missing = tuple(one for one in parameters if one not in given)
        self.unknown = tuple(one for one in given if one not in parameters)
        problems = [
            f"{what} {', '.join(names)}"
            for what, names in (("missing", self.missing), ("unknown", self.unknown))
            if names
        ]
        super().__init__(
            f"script {script!r} takes the {table} parameters ({', '.join(parameters)}): "
            + ("; ".join(problems) or f"{parameters[-1]} takes a sequence, not one value")
        )


class ParameterTable:
    """KEYS or ARGV of one script."""

    __slots__ = ("_name", "_parameters", "_script", "_variadic", "take")

    def __init__(
        self,
        script: str,
        name: Literal["KEYS", "ARGV"],
        parameters: Sequence[str],
        *,
        variadic: bool,
    ) -> None:
        self._script = script
        self._name: Literal["KEYS", "ARGV"] = name
        self._parameters = parameters
        self._variadic = variadic
        # One call for all of them; itemgetter returns a tuple only for two or more.
        self.take: Callable[[Mapping[str, Any]], Any] = (
            itemgetter(*parameters) if len(parameters) > 1 else self._take_few
        )

    def lay_out(self, given: Mapping[str, Any]) -> list[str | int]:
        """The given values in the order of the parameters."""
        try:
            flat = [*self.take(given)]
        except KeyError:
            raise self._wrong(given) from None
        # Equal length and no KeyError mean equal names, without building a set on each call.
        if len(given) != len(flat):
            raise self._wrong(given)
        if self._variadic:
            last = flat.pop()
            if isinstance(last, (str, int)):
                raise self._wrong(given)
            flat += last
        return flat

    def _take_few(self, given: Mapping[str, Any]) -> list[Any]:
        return [given[name] for name in self._parameters]

    def _wrong(self, given: Mapping[str, Any]) -> ScriptParameterError:
        return ScriptParameterError(self._script, self._name, self._parameters, tuple(given))


_TITLE: Final = re.compile(r"-- (?P<name>\w+): (?P<purpose>\S.*)")
_PARAMETER: Final = re.compile(r"-- (KEYS|ARGV)\[(\d+)(\.\.)?\] +(\w+)(?: .*)?")
_REQUIRE: Final = re.compile(r'local (\w+) = require\("lib\.(\w+)"\)')
_MENTIONS_REQUIRE: Final = re.compile(r"\brequire\b")


class ScriptSourceError(RegistryError):
    """A Lua file breaks the format that the loader reads; its author has to correct the file.

    ``file`` is the file's name, ``reason`` what is wrong with it.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script, ready to be sent.

    ``text`` is what Redis gets: header and all, each ``require`` replaced by the file it names, so
    that line numbers in Redis errors are lines of ``text``. ``sha`` is its SHA-1 in hex, for
    EVALSHA. ``keys`` and ``args`` are the parameter names in order; with ``keys_variadic`` or
    ``args_variadic``, the last one takes a sequence of any length.
    """

    name: str
    purpose: str
    text: str
    sha: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    keys_variadic: bool = False
    args_variadic: bool = False
    take_args: Callable[[Mapping[str, Any]], Any] = field(init=False, repr=False, compare=False)
    """Takes the arguments out of a mapping, in their order; KeyError if one is missing."""
    _lay_out_keys: LayOut = field(init=False, repr=False, compare=False)
    _lay_out_args: LayOut = field(init=False, repr=False, compare=False)

    def arrange(
        self,
        keys: Mapping[str, str | Sequence[str]],
        args: Mapping[str, str | int | Sequence[str | int]],
    ) -> tuple[int, list[str | int]]:
        """Lay out values by parameter for EVALSHA: the number of keys, then KEYS and ARGV.

        Raises:
            ScriptParameterError: A parameter is missing or unknown, or takes a sequence.
        """
        laid_out = self._lay_out_keys(keys)
        return len(laid_out), laid_out + self._lay_out_args(args)

    def __post_init__(self) -> None:
        keys = ParameterTable(self.name, "KEYS", self.keys, variadic=self.keys_variadic)
        args = ParameterTable(self.name, "ARGV", self.args, variadic=self.args_variadic)
        object.__setattr__(self, "take_args", args.take)
        object.__setattr__(self, "_lay_out_keys", keys.lay_out)
        object.__setattr__(self, "_lay_out_args", args.lay_out)


@functools.cache
def load_scripts() -> Mapping[str, Script]:
    """All scripts of this package by name, in alphabetical order, read once per process.

    Raises:
        ScriptSourceError: A Lua file breaks the format, or there is no ``lua`` folder at all.
    """
    return read_scripts(_lua_folder())


def read_scripts(folder: Traversable) -> Mapping[str, Script]:
    """The scripts of a folder with the layout of ``lua/``.

    Raises:
        ScriptSourceError: A Lua file breaks the format.
    """
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".lua")), key=lambda f: f.name)
    library = folder / "lib"
    scripts = (_read_script(file, library) for file in files)
    return MappingProxyType({script.name: script for script in scripts})


def _lua_folder() -> Traversable:
    inside = resources.files("ciris_registry") / "lua"
    if inside.is_dir():
        return inside
    beside = Path(__file__).resolve().parents[2] / "lua"
    if beside.is_dir():
        return beside
    raise ScriptSourceError("lua", "neither inside the package nor beside it; install it again")


def _read_script(file: Traversable, library: Traversable) -> Script:
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines()
    header = lines[: next((n for n, line in enumerate(lines) if line[:2] != "--"), len(lines))]
    title = _TITLE.fullmatch(header[0]) if header else None
    if title is None or f"{title['name']}.lua" != file.name:
        raise ScriptSourceError(file.name, "the first line is not `-- name: purpose` of this file")
    purpose = [title["purpose"]]
    for line in header[1:]:
        if line == "--" or _PARAMETER.fullmatch(line):
            break
        purpose.append(line.removeprefix("--").strip())
    keys, keys_variadic = _read_parameters(file.name, header, "KEYS")
    args, args_variadic = _read_parameters(file.name, header, "ARGV")
    text = _expand(file.name, source, library)
    return Script(
        name=title["name"],
        purpose=" ".join(purpose),
        text=text,
        # EVALSHA names a script by its SHA-1; nothing secret depends on it.
        sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
        keys=keys,
        args=args,
        keys_variadic=keys_variadic,
        args_variadic=args_variadic,
    )


def _read_parameters(
    file: str, header: Sequence[str], table: Literal["KEYS", "ARGV"]
) -> tuple[tuple[str, ...], bool]:
    """Parameter names of one table in order, and whether the last one takes a sequence."""
    names: list[str] = []
    variadic = False
    for line in header:
        if not line.startswith(f"-- {table}["):
            continue
        parameter = _PARAMETER.fullmatch(line)
        if parameter is None:
            raise ScriptSourceError(file, f"not `-- {table}[n]  name  meaning`: {line}")
        if int(parameter[2]) != len(names) + 1:
            raise ScriptSourceError(
                file, f"{table}[{parameter[2]}] stands where {len(names) + 1} belongs"
            )
        if variadic:
            raise ScriptSourceError(file, f"only the last parameter of {table} can be variadic")
        if parameter[4] in names:
            raise ScriptSourceError(file, f"two parameters of {table} are called {parameter[4]}")
        names.append(parameter[4])
        variadic = parameter[3] is not None
    return tuple(names), variadic


def _expand(file: str, source: str, library: Traversable) -> str:
    expanded: list[str] = []
    inlined: set[str] = set()
    for line in source.splitlines():
        require = _required(file, line)
        if require is None:
            expanded.append(line)
            continue
        if require[1] == require[2] and require[2] in inlined:
            continue
        inlined.add(require[2])
        lib = _read_lib(file, library, require[2])
        for shared in (_required(f"lib/{require[2]}.lua", one) for one in lib):
            # A lib file that other lib files require stands before them, once.
            if shared is not None and shared[2] not in inlined:
                inlined.add(shared[2])
                body = _read_lib(f"lib/{require[2]}.lua", library, shared[2])
                if any(_requires(one) for one in body):
                    raise ScriptSourceError(
                        f"lib/{shared[2]}.lua",
                        "a lib file that another lib file requires cannot require one itself",
                    )
                expanded += _local(shared[1], body)
        expanded += _local(require[1], [one for one in lib if not _requires(one)])
    return "\n".join(expanded) + "\n"


def _local(name: str, body: Sequence[str]) -> list[str]:
    return [f"local {name} = (function()", *body, "end)()"]


def _read_lib(file: str, library: Traversable, name: str) -> list[str]:
    lib = library / f"{name}.lua"
    if not lib.is_file():
        raise ScriptSourceError(file, f"there is no lib/{name}.lua to require")
    return lib.read_text(encoding="utf-8").rstrip().splitlines()


def _required(file: str, line: str) -> re.Match[str] | None:
    """The require in a line, None if there is none."""
    require = _REQUIRE.fullmatch(line)
    if require is None and _requires(line):
        raise ScriptSourceError(file, f'not `local name = require("lib.name")`: {line}')
    return require


def _requires(line: str) -> bool:
    return _MENTIONS_REQUIRE.search(line.partition("--")[0]) is not None
