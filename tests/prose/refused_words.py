"""Words that the project's sentences do without: persons where a part of the program acts.

``python -m tests.prose.refused_words`` prints where one stands, and fails if any does. The subject
of a sentence is a part of the program; ``docs/how-to/contribute.md`` has examples.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
READ: Final = (
    "ciris_registry/**/*.py",
    "lua/**/*.lua",
    "README.md",
    "CHANGELOG.md",
    "docs/**/*.md",
)

REFUSED: Final = re.compile(
    r"\b(nobody|somebody|anybody|everybody|whoever|whomever|his|meanwhile|told|refuses to know)\b",
    re.IGNORECASE,
)


def found_in(text: str) -> Iterator[tuple[int, str]]:
    """Each refused word of a text, with the number of its line."""
    for number, line in enumerate(text.splitlines(), 1):
        for word in REFUSED.findall(line):
            yield number, word


def files(patterns: Iterable[str] = READ) -> list[Path]:
    """The files that are read, in order."""
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def main() -> int:
    """Print each refused word and where it stands; the exit code says whether there is any."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word}\n"
        for path in files()
        for number, word in found_in(path.read_text(encoding="utf-8"))
    ]
    sys.stdout.writelines(found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
