"""The progress bar of a run, on stderr, and only if that is a terminal.

It is drawn only when progress is reported, between timed rounds. No thread draws it during one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from ciris_registry.bench.plan import Progress as ReportProgress

_EVERY: Final = 0.1
"""Seconds between two drawings."""


class ProgressBar:
    """A bar for steps whose weights add up to ``total``."""

    def __init__(self, total: float) -> None:
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=total)
        self._before = self._weight = self._drawn = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, label: str, weight: float) -> ReportProgress:
        """Begin the next step; the returned function takes the share of it that is done."""
        self._before, self._weight = self._before + self._weight, weight
        self._progress.update(self._task, description=label, completed=self._before)
        self._progress.refresh()
        return self._report

    def _report(self, share: float) -> None:
        if time.monotonic() - self._drawn >= _EVERY:
            self._drawn = time.monotonic()
            self._progress.update(self._task, completed=self._before + self._weight * share)
            self._progress.refresh()
