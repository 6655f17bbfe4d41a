"""A module that is too long, and a folder that is too full, are found."""

from __future__ import annotations

from tests.rooms.sizes import MOST_LINES, MOST_MODULES, problems


def test_what_is_within_bounds_is_no_problem() -> None:
    assert problems({f"p/{n}.py": MOST_LINES for n in range(MOST_MODULES)}) == []


def test_a_long_module_and_a_full_folder_are_problems() -> None:
    lines = {f"p/{n}.py": 1 for n in range(MOST_MODULES)} | {"p/long.py": MOST_LINES + 1}

    assert problems(lines) == [
        "p/long.py has 301 lines; cut it, 300 are the most",
        "p/ has 17 modules; make a room of some, 16 are the most",
    ]
