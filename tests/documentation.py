"""README and docs as tests see them: pages, and their blocks of code in order.

A comment of HTML directly before a block says how it is tested; readers of the page do not see it.
``setup:`` holds code that runs before the blocks after it; ``run by:`` names the test that runs the
block; ``not run:`` and ``output varies:`` leave out a block, or what it shows, for a reason.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ciris_registry
from ciris_registry import ServiceRegistry
from tests.running import place_for_servers

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ("README.md", *sorted(f"{p.relative_to(ROOT)}" for p in ROOT.glob("docs/**/*.md")))

_FENCE: Final = re.compile(
    r"```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_NOTE: Final = re.compile(r"<!-- (setup|run by|not run|output varies):(.*?)-->\s*\Z", re.DOTALL)
_SETUP: Final = re.compile(r"<!-- setup:\n(.*?)-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page; ``note`` is the kind of comment before it, ``said`` its text."""

    page: str
    line: int
    language: str
    title: str
    text: str
    note: str = ""
    said: str = ""
    follows: bool = False
    """Whether nothing stands between it and the block before it."""

    @property
    def where(self) -> str:
        """Page and line, for people."""
        return f"{self.page}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Whether it runs by itself, in a process of its own."""
        return "asyncio.run(" in self.text


def text_of(page: str) -> str:
    """The source of one page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Every block of a page, and every setup as a block of the language ``setup``."""
    source = text_of(page)
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(source):
        before = source[end : fence.start()]
        for setup in _SETUP.finditer(before):
            line = source.count("\n", 0, end + setup.start()) + 1
            found.append(Block(page, line, "setup", "", setup[1]))
        note = _NOTE.search(before)
        kind, said = (note[1], note[2].strip()) if note and note[1] != "setup" else ("", "")
        plain = _NOTE.sub("", before).strip()
        found.append(
            Block(
                page,
                source.count("\n", 0, fence.start()) + 1,
                fence[1],
                fence[2] or "",
                fence[3],
                kind,
                said,
                follows=bool(found) and not plain,
            )
        )
        end = fence.end()
    return found


def block_after(page: str, text: str) -> str:
    """The first block of Python after this text of a page."""
    source = text_of(page)
    assert text in source, f"{page} does not say {text!r}"
    line = source[: source.index(text)].count("\n")
    return next(one.text for one in blocks(page) if one.language == "python" and one.line > line)


async def run(code: str, names: dict[str, Any], where: str = "") -> None:
    """Run code that may await; the names that it makes are added."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    pending = eval(compile(code, where, "exec", flags=flags), names)  # noqa: S307 # the pages are ours
    if pending is not None:
        await pending


async def run_with_package(code: str, **known: Any) -> dict[str, Any]:
    """Run code that knows every public name of the package; the names that it knows afterwards."""
    names = {name: getattr(ciris_registry, name) for name in ciris_registry.__all__} | known
    await run(code, names)
    return names


async def printed_by_page(page: str) -> list[tuple[Block, str]]:
    """Run the blocks of Python of a page in their order; what each has printed."""
    names: dict[str, Any] = {"__name__": "documentation"}
    said: list[tuple[Block, str]] = []
    try:
        for block in blocks(page):
            if block.language not in {"python", "setup"} or block.note or block.title:
                continue
            if block.is_program:
                said.append((block, printed_by_program(block.text)))
                continue
            with contextlib.redirect_stdout(io.StringIO()) as output:
                await run(block.text, names, block.where)
            said.append((block, output.getvalue()))
    finally:
        for value in list(names.values()):
            if isinstance(value, ServiceRegistry):
                await value.aclose()
    return said


def printed_by_program(program: str) -> str:
    """What a complete program prints, with a place for embedded servers of its own."""
    with place_for_servers() as folder:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout
