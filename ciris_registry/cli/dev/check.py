"""The exit code of ``--check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from ciris_registry.bench.report import Results

_MISSED: Final = 1


def exit_if_missed(results: Results, *, check: bool) -> None:
    """Exit with 1 if a target is missed and ``--check`` was given."""
    if check and not results.all_met:
        raise typer.Exit(_MISSED)
