"""Prints results on standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console

from ciris_registry.bench.report.table import render

if TYPE_CHECKING:
    from ciris_registry.bench.report.results import Results

_PIPED_WIDTH: Final = 200
"""Columns where no terminal says how many there are."""


def print_json(results: Results) -> None:
    """Print every figure as one JSON object."""
    print(json.dumps(results.as_dict(), indent=2))  # noqa: T201 # standard output is asked for


def print_table(results: Results) -> None:
    """Print a table, with notes below it."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if known else _PIPED_WIDTH, highlight=False)
    for part in render(results):
        console.print(part)
