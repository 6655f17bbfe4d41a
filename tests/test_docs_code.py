"""Every block of code in README and docs runs and prints what the page shows."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer

from ciris_registry.cli import app
from tests.documentation import PAGES, ROOT, Block, blocks, printed_by_page, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKS: Final = [block for page in PAGES for block in blocks(page)]
COMMANDS: Final = {".venv/bin/pip", "docker", "export", "pip", "python", "redis-cli", "source"}
"""Commands of others that pages show."""


@pytest.mark.parametrize("page", PAGES)
async def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CIRIS_REGISTRY_URL", raising=False)
    monkeypatch.delenv("CIRIS_REGISTRY_NAMESPACE", raising=False)
    shown = {one.line: one for one in expected_outputs(page)}
    for block, printed in await printed_by_page(page):
        expected = shown.get(block.line)
        assert printed == (expected.text if expected else ""), block.where


def expected_outputs(page: str) -> Iterator[Block]:
    """The outputs that a page shows, each with the line of the block that prints it."""
    before: Block | None = None
    for block in blocks(page):
        if before and before.language == "python" and block.language == "text" and block.follows:
            yield Block(page, before.line, "text", "", block.text)
        before = block


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_closed_and_is_tested_or_left_out_for_a_reason(page: str) -> None:
    source, found = text_of(page), blocks(page)
    fences = re.findall(r"^\s*(?:`{3,}|~{3,})", source, re.MULTILINE)
    assert len(fences) == 2 * sum(one.language != "setup" for one in found)
    before: Block | None = None
    for block in found:
        assert problem_of(block, before) == "", block.where
        before = block


def problem_of(block: Block, before: Block | None) -> str:
    """Why a block would be left out in silence; empty if it is not."""
    known = {"setup", "python", "text", "sh", "console"}
    if block.language not in known:
        return f"blocks of {block.language or 'no language'} are not tested"
    if block.note in {"not run", "output varies"} and len(block.said.split()) < 2:
        return "say why"
    if block.note == "run by":
        source = (ROOT / block.said).read_text(encoding="utf-8")
        return "" if block.page in source else f"{block.said} does not read this page"
    is_output = block.follows and before is not None and before.language == "python"
    if block.language == "text" and not (is_output or block.note):
        return "it is the output of no block before it"
    if block.language == "console" and not block.note:
        return "say which test compares what it prints"
    return ""


@pytest.mark.parametrize(
    "left_out",
    [
        Block("README.md", 1, "", "", "a text without a language"),
        Block("README.md", 1, "rust", "", "fn main() {}"),
        Block("README.md", 1, "text", "", "what no block prints"),
        Block("README.md", 1, "text", "", "what varies", "output varies", ""),
        Block("README.md", 1, "console", "", "$ python agent.py"),
        Block("README.md", 1, "python", "", "print()", "run by", "tests/test_recipes.py"),
    ],
)
def test_a_block_that_nothing_tests_is_noticed(left_out: Block) -> None:
    assert problem_of(left_out, None)


def command_lines(block: Block) -> Iterator[list[str]]:
    """The words of each command of a block, without comments."""
    for line in block.text.splitlines():
        if block.language == "sh" or line.startswith("$ "):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                yield words


@pytest.mark.parametrize(
    "block", [one for one in BLOCKS if one.language in {"sh", "console"}], ids=lambda one: one.where
)
def test_every_command_that_is_shown_exists(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in command_lines(block):
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
        elif words[0] == "ciris-registry":
            assert problem_of_command(words[1:]) == ""
        else:
            assert words[0] in COMMANDS, words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_sentence_exists(page: str) -> None:
    for command in re.findall(r"`ciris-registry ([^`]+)`", text_of(page)):
        assert problem_of_command(shlex.split(command)) == "", command


def problem_of_command(words: list[str]) -> str:
    """What of a command of ours does not exist; empty if all of it does."""
    command: Any = typer.main.get_command(app)
    options = options_of(command)
    for word in words:
        if word.startswith("-"):
            if word not in options | {"--help"}:
                return f"{command.name} has no option {word}"
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"{command.name} has no command {word}"
            command = command.commands[word]
            options |= options_of(command)
    return ""


def options_of(command: Any) -> set[str]:
    """The options of a command, such as ``--url``."""
    return {name for one in command.params for name in one.opts if name.startswith("-")}


def described_commands() -> Iterator[tuple[str, Any]]:
    """Each command of ours that does something, with its words."""

    def walk(command: Any, words: str) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield words, command
            return
        for name, one in command.commands.items():
            yield from walk(one, f"{words} {name}".strip())

    yield from walk(typer.main.get_command(app), "")


def test_the_reference_has_every_command_and_every_option_and_no_other() -> None:
    source = text_of("docs/reference/cli.md")
    shown = re.findall(r"^\| `ciris-registry ([a-z -]+[a-z])[^`]*` \|", source, re.MULTILINE)
    assert sorted(shown) == sorted(words for words, _ in described_commands())
    rows = re.findall(r"^\| `-.*", source, re.MULTILINE)
    options = {name for row in rows for name in re.findall(r"`(-[a-z-]+)[^`]*`", row.split("|")[1])}
    known = {name for _, one in described_commands() for name in options_of(one)}
    assert options == known - {"--help"}
