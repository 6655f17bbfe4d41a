"""The check of refused words finds them, and reads every file that it should."""

from __future__ import annotations

from tests.prose.refused_words import ROOT, files, found_in


def test_a_refused_word_is_found_with_its_line() -> None:
    text = "A breaker opens.\nWhoever calls is told so.\n"

    assert list(found_in(text)) == [(2, "Whoever"), (2, "told")]


def test_parts_of_other_words_are_none() -> None:
    assert list(found_in("This history is untold.")) == []


def test_package_scripts_and_documentation_are_read() -> None:
    read = {str(path.relative_to(ROOT)) for path in files()}

    assert {"ciris_registry/registry.py", "lua/lib/clock.lua", "README.md", "docs/index.md"} <= read
