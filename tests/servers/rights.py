"""The rights that the documentation gives to a user, and the commands that the package sends."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from tests.documentation import ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from tests.servers.single import Server

PAGE: Final = "docs/how-to/redis-in-production.md"
STORE: Final = ROOT / "ciris_registry" / "store"
ROUTING: Final = STORE / "connection" / "routing"
PASSWORD: Final = "secret"
LUXURIES: Final = frozenset({"client|setname", "info", "ping"})
"""Commands that the page names, and without which everything works."""

_NAMES_OF_ERRORS: Final = "error_replies.py"
"""The file that has names of errors, of which READONLY is a command too."""

_WITH_SUBCOMMANDS: Final = {"client", "cluster", "sentinel"}
_CLIENTS: Final = {"redis", "pipeline"}
"""What the store calls a client of redis-py, whose methods have the names of commands."""


def documented_line() -> str:
    """The line of an ACL file that the page shows."""
    (line,) = [one.text for one in blocks(PAGE) if one.text.startswith("user ")]
    return line.strip()


def documented_commands() -> set[str]:
    """The commands that the line allows."""
    return set(re.findall(r" \+(\S+)", documented_line()))


def add_user(server: Server, without: Collection[str] = (), name: str = "ciris") -> str:
    """Make a user with the documented rights on a server, but for some of them; its URL."""
    _, _, *rules = documented_line().replace("PASSWORD", PASSWORD).split()
    name += "".join(f"-{one.replace('|', '-')}" for one in sorted(without))
    left_out = {f"+{one}" for one in without}
    server.ask("ACL", "SETUSER", name, *(one for one in rules if one not in left_out))
    return f"redis://{name}:{PASSWORD}@{server.address}"


def used_commands(server: Server) -> set[str]:
    """The commands in the Lua files and in the store's Python code, as an ACL names them."""
    known = {str(one[0]) for one in server.ask("COMMAND")}
    lua = (ROOT / "lua").rglob("*.lua")
    python = [one for one in STORE.rglob("*.py") if one.name != _NAMES_OF_ERRORS]
    python = [one for one in python if one.parent != ROUTING]
    return {
        *(one for file in lua for one in _in_lua(file) if one in known),
        *(one for file in python for one in _in_python(file) if one.partition("|")[0] in known),
    }


def routing_commands() -> set[str]:
    """The commands with which a process finds its master, as an ACL names them."""
    sent = {one for file in ROUTING.glob("*.py") for one in _in_python(file) if one}
    return {one for one in sent if "|" in one or one == "role"} | {"asking"}


def _in_lua(file: Path) -> set[str]:
    """The words in quotes and capital letters."""
    return {one.lower() for one in re.findall(r'"([A-Z]+)"', file.read_text(encoding="utf-8"))}


def _in_python(file: Path) -> Iterator[str]:
    """The words in capital letters with which a tuple or the arguments of a call begin.

    Also the methods of redis-py's clients.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    types = {id(one.slice) for one in ast.walk(tree) if isinstance(one, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                yield called.attr if called.value.id in _CLIENTS else ""
            yield _command(node.args)
        elif isinstance(node, ast.Tuple) and id(node) not in types:
            yield _command(node.elts)


def _command(given: list[ast.expr]) -> str:
    """The command that begins like this, with the subcommand if it has some; empty if none."""
    words = [one.value if isinstance(one, ast.Constant) else "" for one in given[:2]]
    named = [one.lower() for one in words if isinstance(one, str) and one.isupper()]
    if not named or named[0] != str(words[0]).lower():
        return ""
    return "|".join(named) if named[0] in _WITH_SUBCOMMANDS else named[0]
