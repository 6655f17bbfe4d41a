"""How large modules and rooms are: no module over 300 lines, no folder over 16 modules.

``python -m tests.rooms.sizes`` prints the figures and fails if a bound is passed.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MOST_LINES: Final = 300
MOST_MODULES: Final = 16


def lines_of(package: Path) -> dict[str, int]:
    """The number of lines of each module, by its path."""
    return {
        str(path.relative_to(package.parent)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(package.rglob("*.py"))
    }


def problems(lines: dict[str, int]) -> list[str]:
    """Modules that are too long, and folders with too many modules."""
    folders = Counter(path.rpartition("/")[0] for path in lines)
    return [
        f"{path} has {number} lines; cut it, {MOST_LINES} are the most"
        for path, number in lines.items()
        if number > MOST_LINES
    ] + [
        f"{folder}/ has {number} modules; make a room of some, {MOST_MODULES} are the most"
        for folder, number in folders.items()
        if number > MOST_MODULES
    ]


def main() -> int:
    """Print the figures; the exit code says whether every bound is kept."""
    lines = lines_of(ROOT / "ciris_registry")
    longest, most = (
        max(lines.items(), key=lambda one: one[1]),
        Counter(path.rpartition("/")[0] for path in lines).most_common(1)[0],
    )
    sys.stdout.write(
        f"{len(lines)} modules, median {median(lines.values()):.0f} lines; longest {longest[0]} "
        f"({longest[1]}); fullest folder {most[0]}/ ({most[1]})\n"
    )
    found = problems(lines)
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
