"""README and docs: linked files and named tests exist, and each page is in the navigation."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.documentation import PAGES, ROOT, text_of

GUARANTEES: Final = "docs/explanation/guarantees.md"


def links(page: str) -> list[tuple[str, str]]:
    """Text and target of each link to a file; a heading in it is left off."""
    source = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", source)
    return [(text, target.partition("#")[0]) for text, target in found if "://" not in target]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_exists(page: str) -> None:
    here = (ROOT / page).parent
    broken = [target for _, target in links(page) if target and not (here / target).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_a_test_that_a_page_names_stands_in_the_file_that_it_links_to(page: str) -> None:
    here = (ROOT / page).parent
    named = [
        (text, here / target)
        for text, target in links(page)
        if text.startswith("test_") and not text.endswith(".py")
    ]
    for text, file in named:
        assert f"def {text}(" in file.read_text(encoding="utf-8")


def test_each_guarantee_is_linked_to_a_test() -> None:
    rows = re.findall(r"^\| (?!---).*\|$", text_of(GUARANTEES), re.MULTILINE)
    rows = [row for row in rows if not row.endswith("| test |")]
    assert len(rows) > 40
    assert [row for row in rows if "](../../tests/" not in row] == []


def test_each_file_of_the_fleets_tests_is_linked_from_the_guarantees() -> None:
    linked = {target.rpartition("/")[2] for _, target in links(GUARANTEES)}
    there = {file.name for file in (ROOT / "tests/fleet").glob("test_*.py")}
    assert there - linked == set()


def test_each_page_is_in_the_navigation() -> None:
    listed = re.findall(r": (\S+\.md)$", text_of("mkdocs.yml"), re.MULTILINE)
    assert sorted(f"docs/{page}" for page in listed) == sorted(set(PAGES) - {"README.md"})
