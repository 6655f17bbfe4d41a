"""Loads all scripts from a wheel that is not unpacked, and prints their names and hashes.

Argument: the wheel. Is run as a file, so that no checkout is on the path.
"""

from __future__ import annotations

import sys


def main(wheel: str) -> None:
    """Import the package from the wheel."""
    sys.path.insert(0, wheel)
    from ciris_registry.store import scripts

    assert scripts.__file__.startswith(wheel), scripts.__file__
    for script in scripts.load_scripts().values():
        print(script.name, script.sha)  # noqa: T201 # read by the test


if __name__ == "__main__":
    main(*sys.argv[1:])
