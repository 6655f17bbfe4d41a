"""Reads Lua sources as text, to compare what a header promises with what the code does."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A comment is dropped, a string is kept: either can contain what looks like the other.
_COMMENT_OR_STRING = re.compile(
    r"""--\[\[.*?\]\]|--[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
_FORBIDDEN = re.compile(
    r"(?<![.:])\b(cmsgpack|bit|struct|os|io|debug|package|coroutine)\s*[.:]"
    r"|(?<![.:])\b(dofile|load|loadfile|loadstring|print|setfenv|getfenv|rawset|collectgarbage)\s*\("
    r"|\b(math\.random\w*)"
    r"|\bredis\.(?!call\b|pcall\b|error_reply\b|status_reply\b)(\w+)"
    r"|\bcjson\.(?!encode\b|decode\b|null\b)(\w+)"
)


@dataclass(frozen=True, slots=True)
class SlotUse:
    """How code uses KEYS or ARGV.

    By these literal numbers; each of them (``ipairs(KEYS)``); as a whole (``#KEYS``, ``KEYS[i]``),
    which makes sense only where there is a variadic tail.
    """

    numbers: frozenset[int]
    each: bool
    as_a_whole: bool


def code_of(source: str) -> str:
    """The source without its comments."""
    return _COMMENT_OR_STRING.sub(lambda m: "" if m[0].startswith("--") else m[0], source)


def bare_code_of(source: str) -> str:
    """The source without its comments and with each string emptied."""
    return _COMMENT_OR_STRING.sub(lambda m: "" if m[0].startswith("--") else '""', source)


def slots_used(source: str, table: str) -> SlotUse:
    code = bare_code_of(source)
    numbers = re.findall(rf"\b{table}\s*\[\s*(\d+)\s*\]", code)
    loops = re.findall(rf"\bipairs\s*\(\s*{table}\s*\)", code)
    mentions = re.findall(rf"\b{table}\b", code)
    return SlotUse(
        frozenset(map(int, numbers)),
        each=bool(loops),
        as_a_whole=len(mentions) > len(numbers) + len(loops),
    )


def commands_used(source: str) -> frozenset[str]:
    """Redis commands, in capitals; ``?`` stands for one whose name is not a literal.

    A local wrapper may pass ``...`` on; then its own calls name the commands, in capitals.
    """
    code = code_of(source)
    direct = re.findall(r"\bredis\.p?call\s*\(\s*(?!\.\.\.)(?:[\"'](\w+)[\"'])?", code)
    wrapped = re.findall(r"\w\s*\(\s*[\"']([A-Z]{2,})[\"']", code)
    return frozenset(call.upper() or "?" for call in [*direct, *wrapped])


def forbidden_in(source: str) -> list[str]:
    """What this dialect of Lua lacks, or what makes a script depend on more than its slots."""
    return [match[0] for match in _FORBIDDEN.finditer(bare_code_of(source))]


def slot_problems(
    source: str, table: str, *, documented: tuple[str, ...], variadic: bool
) -> list[str]:
    """Where the slots that the code uses differ from those that the header documents."""
    use = slots_used(source, table)
    fixed = len(documented) - variadic
    problems = [
        f"{table}[{n}] ({documented[n - 1]}) is documented, not used"
        for n in range(1, fixed + 1)
        if n not in use.numbers and not use.each
    ]
    problems += [
        f"{table}[{n}] is used, not documented"
        for n in sorted(use.numbers)
        if n < 1 or (n > fixed and not variadic)
    ]
    if use.as_a_whole and not variadic:
        problems.append(f"{table} is used as a whole, but no slot of it is variadic")
    if variadic and not (use.as_a_whole or use.each):
        problems.append(f"{table}[{fixed + 1}..] is documented, not used")
    return problems
