"""Reads Lua sources as text, to compare headers with code."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Comments are dropped and strings kept; either can contain text that looks like the other.
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
class ParameterUse:
    """How code uses KEYS or ARGV.

    ``numbers`` are literal indexes; ``each`` means ``ipairs(KEYS)``; ``as_a_whole`` means any other
    use, such as ``#KEYS`` or ``KEYS[i]``, which needs a variadic last parameter.
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


def parameters_used(source: str, table: str) -> ParameterUse:
    code = bare_code_of(source)
    numbers = re.findall(rf"\b{table}\s*\[\s*(\d+)\s*\]", code)
    loops = re.findall(rf"\bipairs\s*\(\s*{table}\s*\)", code)
    mentions = re.findall(rf"\b{table}\b", code)
    return ParameterUse(
        frozenset(map(int, numbers)),
        each=bool(loops),
        as_a_whole=len(mentions) > len(numbers) + len(loops),
    )


def commands_used(source: str) -> frozenset[str]:
    """Redis commands, in capitals; ``?`` stands for one whose name is not a literal.

    A local wrapper may pass ``...`` on; then the calls of the wrapper name the commands.
    """
    code = code_of(source)
    direct = re.findall(r"\bredis\.p?call\s*\(\s*(?!\.\.\.)(?:[\"'](\w+)[\"'])?", code)
    wrapped = re.findall(r"\w\s*\(\s*[\"']([A-Z]{2,})[\"']", code)
    return frozenset(call.upper() or "?" for call in [*direct, *wrapped])


def forbidden_in(source: str) -> list[str]:
    """Uses of functions that some servers lack, or that read more than the parameters."""
    return [match[0] for match in _FORBIDDEN.finditer(bare_code_of(source))]


def parameter_problems(
    source: str, table: str, *, documented: tuple[str, ...], variadic: bool
) -> list[str]:
    """Differences between the parameters that the code uses and those that the header documents."""
    use = parameters_used(source, table)
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
        problems.append(f"{table} is used as a whole, but no parameter of it is variadic")
    if variadic and not (use.as_a_whole or use.each):
        problems.append(f"{table}[{fixed + 1}..] is documented, not used")
    return problems
